package testwait

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, done := time.Now(), make(chan struct{})
		at := begun.Add(3 * time.Second)
		time.AfterFunc(time.Hour, func() { close(done) })
		if Holds(2*time.Second, func() bool { return time.Now().After(at) }) {
			t.Error("it holds early")
		}
		if took := time.Since(begun); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("given up after %s", took)
		}
		Until(t, 2*time.Second, "three seconds have passed", func() bool { return time.Now().After(at) })
		Pass(time.Second)
		if took := time.Since(begun); took > 4100*time.Millisecond {
			t.Errorf("seen after %s", took)
		}
		Pass(time.Hour)
		Closed(t, time.Second, "the hour is over", done)
	})
}
