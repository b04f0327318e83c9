package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const tick = 10 * time.Millisecond // USER_HZ, the same on every Linux

// stat returns the name of a process and the fields after it: state, parent and so on.
func stat(pid int) (name string, fields []string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), "(")
	end := strings.LastIndexByte(rest, ')')
	if end < 0 {
		return "", nil
	}
	return rest[:end], strings.Fields(rest[end+1:])
}

func cpuOf(pid int) time.Duration {
	_, fields := stat(pid)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// child finds a process that this one has started.
func child(name string) (int, error) {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(path))
		if n, fields := stat(pid); n == name && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no process %s", name)
}
