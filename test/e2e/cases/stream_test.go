package cases

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// stream asks the API server all the time for two Pods, one to be patched and one to be refused, and stores nothing.
type stream struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	mu    sync.Mutex
	right int
	wrong []string
	let   int       // through, of those that must be refused
	last  time.Time // of a wrong answer
}

const streamPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-","namespace":"default"},
"spec":{"containers":[{"name":"c","image":"a/b:1",%s}]}}`

var streamPods = []struct{ text, answer string }{
	{`"resources":{"limits":{"nvidia.com/gpu":1,"memory":"1Gi","cpu":1}}`, `"key":"nvidia.com/gpu"`},
	{`"env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}]`, "without a limit"},
}

func newStream(t *testing.T) *stream {
	t.Helper()
	s := &stream{}
	running, stop := context.WithCancel(ctx)
	s.stop = stop
	for _, pod := range streamPods {
		s.group.Go(func() {
			for {
				s.ask(pod.text, pod.answer)
				select {
				case <-running.Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	t.Cleanup(s.end)
	return s
}

// askForPod is the Pod as it would be stored, or why it is refused.
func askForPod(pod string) string {
	answer, err := kube.Client.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/default/pods").Param("dryRun", "All").MaxRetries(0).
		SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body(fmt.Appendf(nil, streamPod, pod)).DoRaw(ctx)
	if err != nil {
		return string(answer) + err.Error()
	}
	return string(answer)
}

func (s *stream) ask(pod, want string) {
	answer := askForPod(pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(answer, want) {
		s.right++
		return
	}
	s.wrong, s.last = append(s.wrong, answer), time.Now()
	if want == streamPods[1].answer && strings.Contains(answer, let) {
		s.let++
	}
}

func (s *stream) end() {
	s.stop()
	s.group.Wait()
}

// flawless: since it was last asked, many right answers and no other.
func (s *stream) flawless(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		t.Errorf("%d wrong answers of %d, the first: %s", len(s.wrong), len(s.wrong)+s.right, s.wrong[0])
	}
	if s.right < 20 {
		t.Errorf("%d answers only", s.right)
	}
	t.Logf("%d answers", s.right)
	s.right, s.wrong = 0, nil
}
