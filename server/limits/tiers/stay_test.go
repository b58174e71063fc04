package tiers

import (
	"fmt"
	"testing"

	"tapecast/server/config"
)

// TestOtherTiersStay: a name too many leaves the rows of all other tiers in force, at every moment.
func TestOtherTiersStay(t *testing.T) {
	r := newRig(t, true)
	r.put("zz", rows(400))
	for i := range config.MaxTiers - 3 { // pro, basic and zz have numbers
		r.put(fmt.Sprint("t", i), rows(200))
	}
	takes := 0
	r.set = func(l *config.Limits) error {
		takes++
		err := r.to.SetTiers(l)
		r.has("zz", 400)
		r.has("t7", 200)
		return err
	}
	r.put("a", rows(500))
	r.has("a", 0)
	cfg := base()
	cfg.Limits.Tiers["b"] = cfg.Limits.Untiered()
	if err := r.SetLimits(&cfg.Limits); err == nil {
		t.Error("a configuration with a name too many was taken")
	}
	if r.has("a", 0); takes < 3 {
		t.Errorf("rows were given %d times", takes)
	}
}

// TestSetLimitsWhileRead: rows that are being read again belong to the configuration that counts when they
// were read.
func TestSetLimitsWhileRead(t *testing.T) {
	r := newRig(t, true)
	r.put("pro", `{"burst":50}`)
	r.Begin(true)
	r.from(0, r.at, false, "pro", `{"burst":50}`)
	cfg := base()
	cfg.Limits.RoomsPerUser = 150
	if err := r.SetLimits(&cfg.Limits); err != nil {
		t.Fatal(err)
	}
	r.has("pro", 150)
	r.Whole()
	r.has("pro", 150)
}

// TestBadRecordReadAgain: Kafka may have deleted the good record before a bad one. The tier stays as it was.
func TestBadRecordReadAgain(t *testing.T) {
	r := newRig(t, false)
	if r.Read() {
		t.Error("read before it is whole")
	}
	r.Whole()
	r.put("pro", rows(400))
	r.put("pro", "{")
	r.has("pro", 400)
	r.Begin(false)
	r.from(0, r.at, false, "pro", "{")
	r.Whole()
	r.has("pro", 400)
	if s := r.Stats(); s.Bad != 1 || !r.Read() {
		t.Errorf("%+v", s)
	}
}
