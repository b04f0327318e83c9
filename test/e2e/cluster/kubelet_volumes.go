package cluster

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volume is a folder that is mounted into a container. Files are reached through the link ..data, which one rename moves from
// the old to the new ones.
type volume struct {
	p     *pod
	spec  *corev1.Volume
	dir   string
	files map[string]file
	token string
}

type file struct {
	text string
	mode int32
}

func (p *pod) newVolumes() []*volume {
	volumes := []*volume{}
	for i := range p.object.Spec.Volumes {
		spec := &p.object.Spec.Volumes[i]
		volumes = append(volumes, &volume{p: p, spec: spec, dir: filepath.Join(p.dir, spec.Name)})
	}
	return volumes
}

// refresh makes the folder and writes anew what has changed.
func (v *volume) refresh() error {
	if err := os.MkdirAll(v.dir, 0o777); err != nil {
		return err
	}
	if v.spec.EmptyDir != nil {
		return os.Chmod(v.dir, 0o777)
	}
	files := map[string]file{}
	if err := v.collect(files); err != nil {
		return err
	}
	if v.files != nil && maps.Equal(files, v.files) {
		return nil
	}
	if v.files != nil {
		v.p.say("volume %s: new files", v.spec.Name)
	}
	v.files = files
	return v.write()
}

func (v *volume) collect(files map[string]file) error {
	s := &v.spec.VolumeSource
	switch {
	case s.ConfigMap != nil:
		return v.addConfigMap(files, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional, *s.ConfigMap.DefaultMode)
	case s.Secret != nil:
		return v.addSecret(files, s.Secret.SecretName, s.Secret.Items, s.Secret.Optional, *s.Secret.DefaultMode)
	case s.Projected != nil:
		for i := range s.Projected.Sources {
			if err := v.addSource(files, &s.Projected.Sources[i], *s.Projected.DefaultMode); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("not known here: its kind")
	}
}

func (v *volume) addSource(files map[string]file, s *corev1.VolumeProjection, mode int32) error {
	switch {
	case s.ConfigMap != nil:
		return v.addConfigMap(files, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional, mode)
	case s.Secret != nil:
		return v.addSecret(files, s.Secret.Name, s.Secret.Items, s.Secret.Optional, mode)
	case s.ServiceAccountToken != nil:
		return v.addToken(files, s.ServiceAccountToken)
	case s.DownwardAPI != nil:
		for _, item := range s.DownwardAPI.Items {
			if item.FieldRef == nil || item.FieldRef.FieldPath != "metadata.namespace" {
				return fmt.Errorf("not known here: %s of the Pod", item.Path)
			}
			files[item.Path] = file{v.p.object.Namespace, mode}
		}
		return nil
	default:
		return fmt.Errorf("not known here: its source")
	}
}

func (v *volume) addConfigMap(files map[string]file, name string, items []corev1.KeyToPath, optional *bool, mode int32) error {
	object, err := v.p.k.c.Client.CoreV1().ConfigMaps(v.p.object.Namespace).Get(v.p.k.ctx, name, metav1.GetOptions{})
	if err != nil {
		return unlessOptional(err, optional)
	}
	data := map[string]string{}
	maps.Copy(data, object.Data)
	for key, value := range object.BinaryData {
		data[key] = string(value)
	}
	return add(files, data, items, optional, mode)
}

func (v *volume) addSecret(files map[string]file, name string, items []corev1.KeyToPath, optional *bool, mode int32) error {
	object, err := v.p.k.c.Client.CoreV1().Secrets(v.p.object.Namespace).Get(v.p.k.ctx, name, metav1.GetOptions{})
	if err != nil {
		return unlessOptional(err, optional)
	}
	data := map[string]string{}
	for key, value := range object.Data {
		data[key] = string(value)
	}
	return add(files, data, items, optional, mode)
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

func add(files map[string]file, data map[string]string, items []corev1.KeyToPath, optional *bool, mode int32) error {
	if items == nil {
		for key, text := range data {
			files[key] = file{text, mode}
		}
		return nil
	}
	for _, item := range items {
		text, there := data[item.Key]
		if !there && (optional == nil || !*optional) {
			return fmt.Errorf("references non-existent key: %s", item.Key)
		}
		if !there {
			continue
		}
		files[item.Path] = file{text, mode}
		if item.Mode != nil {
			files[item.Path] = file{text, *item.Mode}
		}
	}
	return nil
}

// addToken asks for a token once: a test is shorter than its life.
func (v *volume) addToken(files map[string]file, s *corev1.ServiceAccountTokenProjection) error {
	if v.token == "" {
		p := v.p.object
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: s.ExpirationSeconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID}}}
		if s.Audience != "" {
			request.Spec.Audiences = []string{s.Audience}
		}
		answer, err := v.p.k.c.Client.CoreV1().ServiceAccounts(p.Namespace).CreateToken(v.p.k.ctx, p.Spec.ServiceAccountName, request, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		v.token = answer.Status.Token
	}
	files[s.Path] = file{v.token, 0o600}
	return nil
}

// write makes a folder with all files, points ..data there, and removes the folder before.
func (v *volume) write() error {
	fresh := time.Now().UTC().Format("..2006_01_02_15_04_05.000000000")
	if err := v.makeDir(fresh); err != nil {
		return err
	}
	for path, f := range v.files {
		if dir := filepath.Dir(path); dir != "." {
			if err := v.makeDir(filepath.Join(fresh, dir)); err != nil {
				return err
			}
		}
		if err := v.makeFile(filepath.Join(v.dir, fresh, path), f); err != nil {
			return err
		}
	}
	data := filepath.Join(v.dir, "..data")
	old, _ := os.Readlink(data)
	if err := os.Symlink(fresh, data+"_tmp"); err != nil {
		return err
	}
	if err := os.Rename(data+"_tmp", data); err != nil {
		return err
	}
	if err := v.link(); err != nil || old == "" {
		return err
	}
	return os.RemoveAll(filepath.Join(v.dir, old))
}

// link shows the files under their names, and what is no longer there no more.
func (v *volume) link() error {
	wanted := map[string]bool{}
	for path := range v.files {
		wanted[strings.SplitN(path, "/", 2)[0]] = true
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	entries, err := os.ReadDir(v.dir)
	for _, entry := range entries {
		if !wanted[entry.Name()] && !strings.HasPrefix(entry.Name(), "..") {
			_ = os.Remove(filepath.Join(v.dir, entry.Name()))
		}
	}
	return err
}

func (v *volume) makeDir(name string) error {
	dir := filepath.Join(v.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return v.own(dir, 0o755, 0o110|os.ModeSetgid)
}

func (v *volume) makeFile(path string, f file) error {
	if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
		return err
	}
	return v.own(path, os.FileMode(f.mode), 0)
}

// own gives it to the Pod's group, which may read it whatever the mode.
func (v *volume) own(path string, mode, more os.FileMode) error {
	security, user := v.p.object.Spec.SecurityContext, -1
	if security.FSGroup != nil {
		if err := os.Chown(path, user, int(*security.FSGroup)); err != nil {
			return err
		}
		return os.Chmod(path, mode|more|0o440)
	}
	// Without a group, a token is its user's.
	if security.RunAsUser != nil && v.token != "" && mode == 0o600 {
		if err := os.Chown(path, int(*security.RunAsUser), -1); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}
