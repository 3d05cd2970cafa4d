package main

import "testing"

func TestGreeting(t *testing.T) {
	for names, want := range map[string]string{"": "hello", "docker": "hello docker"} {
		var args []string
		if names != "" {
			args = []string{names}
		}
		if got := greeting(args); got != want {
			t.Errorf("greeting(%q) is %q, not %q", args, got, want)
		}
	}
}
