package tiers

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/server/config"
	"tapecast/server/limits"
)

// rig is a list over a Limiter.
type rig struct {
	*List
	t   *testing.T
	to  *limits.Limiter
	log bytes.Buffer
	at  int64
}

// base is a configuration with the tiers pro, of 300 rooms a user, and basic.
func base() *config.Config {
	cfg := config.Default()
	cfg.Limits.RoomsPerUser, cfg.Limits.RoomsPerConnection = 100, 70
	pro := cfg.Limits.Untiered()
	pro.RoomsPerUser, pro.Burst = 300, 777
	cfg.Limits.Tiers = map[string]config.Tier{"pro": pro, "basic": cfg.Limits.Untiered()}
	return cfg
}

func newRig(t *testing.T, whole bool) *rig {
	cfg := base()
	r := &rig{t: t, to: limits.New(cfg)}
	r.List = NewList(cfg, r.to.SetTiers, slog.New(slog.NewTextHandler(&r.log, nil)))
	if r.Begin(false); whole {
		r.Whole()
	}
	return r
}

// put gives the list a record of partition 0 that is fresh; "": a tombstone.
func (r *rig) put(key, value string) { r.from(0, r.at+1, true, key, value) }

func (r *rig) from(part int32, at int64, fresh bool, key, value string) {
	r.at = max(r.at, at)
	v := []byte(value)
	if value == "" {
		v = nil
	}
	r.Record(part, r.at, at, fresh, []byte(key), v)
}

func rows(n int) string { return fmt.Sprintf(`{"rooms_per_user":%d}`, n) }

// has compares the rooms of a tier's user. 0: there is no such tier.
func (r *rig) has(tier string, want int) {
	r.t.Helper()
	n, ok := r.to.TierOf(tier)
	got := r.to.Row(n).RoomsPerUser
	if ok != (want > 0) || ok && got != want {
		r.t.Errorf("%s: %v, %d rooms, want %d", tier, ok, got, want)
	}
}

func TestList(t *testing.T) {
	r := newRig(t, false)
	r.from(0, 1, false, "pro", rows(400))
	r.has("pro", 300) // it was not read whole
	if r.Stats().Read {
		t.Error("it was read before it is whole")
	}
	r.Whole()
	r.has("pro", 400)
	r.has("basic", 100)
	<-r.Changed()
	r.put("gold", rows(900))
	r.has("gold", 900)
	<-r.Changed()
	r.put("pro", rows(500))
	r.has("pro", 500)
	r.put("pro", `{}`) // as for accounts without a tier, whatever the configuration's row is
	r.has("pro", 100)
	r.put("pro", "")
	r.has("pro", 300)
	r.put("gold", "")
	r.has("gold", 0)
	r.put("never", "")
	if s := r.Stats(); s.Rows != 0 || s.Bad != 0 || s.Records != 7 || s.BadRecords != 0 {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(r.log.String(), "has changed a tier"); n == 0 || n > 3 {
		t.Errorf("%d lines: %s", n, r.log.String())
	}
	if (*List)(nil).Stats() != (Stats{}) {
		t.Error("without a topic there are figures")
	}
}

// TestBadRecords: a record that does not hold is counted and named, and leaves the row as it was.
func TestBadRecords(t *testing.T) {
	r := newRig(t, true)
	f := func(key, value, words string) {
		t.Helper()
		for _, before := range []int{0, 444} {
			want := 300
			if before > 0 {
				r.put("pro", rows(before))
				want = before
			}
			was := r.Stats()
			r.put(key, value)
			s := r.Stats()
			if s.BadRecords != was.BadRecords+1 || s.Bad != 1 || !strings.Contains(s.BadText, words) ||
				len(s.BadText) > 2000 {
				t.Errorf("%s %.50s: %+v, want %q", key, value, s, words)
			}
			r.has("pro", want)
			r.put(key, "")
			r.put("pro", "")
			if s := r.Stats(); s.Bad != 0 || s.BadText != "" || s.Rows != 0 {
				t.Errorf("%s %.50s: %+v after its tombstone", key, value, s)
			}
		}
	}
	f("pro", `{`, `key "pro", partition 0, offset `)
	f("pro", `[]`, "it is not a JSON object")
	f("pro", `null`, "it is not a JSON object")
	f("pro", strings.Repeat("[", 1000), "it is not a JSON object")
	f("pro", `{"burst":1,"burst":2}`, `"burst" is set twice`)
	f("pro", `{"burst":"100"}`, "limits.tiers.pro.burst: cannot take a string; write a whole number")
	f("pro", `{"burst":-1}`, "limits.tiers.pro.burst")
	f("pro", `{"burst":0}`, "0 would let no message through at all")
	f("pro", `{"brst":5}`, "unknown key; did you mean limits.tiers.pro.burst?")
	f("pro", `{"wildcards_per_connection":256}`, "256 is more than 255")
	f("pro", `{"bytes_per_second":"1 KiB/s"}`, "limits.tiers.pro.bytes_per_second")
	f("pro", `{"a`+strings.Repeat(`":1,"a`, 300)+`":1}`, "is set twice")
	f("pro", `{"rooms_per_user":5}`+strings.Repeat(" ", maxValue), "longer than 4096 bytes")
	f("", `{}`, "its key is not the name of a tier")
	f("\xff", `{}`, "its key is not the name of a tier")
	f(strings.Repeat("x", 65), `{}`, "its key is not the name of a tier")
	f(strings.Repeat("x", 9999), `{}`, "its key is not the name of a tier")
	many := `{"k0":1`
	for i := 1; i < 300; i++ {
		many += fmt.Sprintf(`,"k%d":1`, i)
	}
	f("pro", many+"}", "and 297 more faults")
	if n := strings.Count(r.log.String(), "does not hold"); n == 0 || n > 5 {
		t.Errorf("%d lines:\n%s", n, r.log.String())
	}
	// The same while the topic is read again: the newest good row counts, and the record is named.
	r.Begin(false)
	r.from(0, 1000, false, "pro", rows(444))
	r.from(0, 1001, false, "pro", `{"burst":0}`)
	r.Whole()
	r.has("pro", 444)
	if s := r.Stats(); s.Bad != 1 || s.Rows != 1 {
		t.Errorf("%+v", s)
	}
}

// TestReadAgain: while the topic is read again, old records change nothing in passing, and new ones count
// at once. What the topic does not have any more is as in the configuration.
func TestReadAgain(t *testing.T) {
	r := newRig(t, true)
	r.put("pro", rows(400))
	r.put("pro", rows(500))
	r.put("gold", rows(900))
	r.Begin(true)
	r.from(0, 1, false, "pro", rows(400))
	r.has("pro", 500)
	r.has("gold", 900)
	r.put("basic", rows(200))
	r.has("basic", 200)
	r.put("basic", "")
	r.has("basic", 100)
	r.put("basic", rows(250))
	r.Begin(true) // the reading was broken off
	r.from(0, 1, false, "pro", rows(400))
	r.has("basic", 250)
	r.Whole()
	r.has("pro", 400)
	r.has("gold", 0)
	r.has("basic", 100)

	r.Begin(false) // two partitions
	r.from(0, 100, false, "pro", rows(600))
	r.from(1, 99, false, "pro", "")
	r.from(1, 100, false, "basic", "")
	r.from(0, 99, false, "basic", rows(600))
	r.Whole()
	r.has("pro", 600)
	r.has("basic", 100)
}

// TestSetLimits: another configuration changes what rows do not set. A row that does not fit it stays as
// it was, and counts as bad until it fits.
func TestSetLimits(t *testing.T) {
	r := newRig(t, true)
	r.put("pro", `{"burst":50}`)
	r.put("gold", `{"rooms_per_user":10,"burst":60}`)
	set := func(change func(*config.Limits)) error {
		cfg := base()
		change(&cfg.Limits)
		return r.SetLimits(&cfg.Limits)
	}
	err := set(func(l *config.Limits) { l.RoomsPerUser = 150 })
	if r.has("pro", 150); err != nil {
		t.Error(err)
	}
	r.has("gold", 10)
	r.put("basic", `{"wildcards_per_connection":0,"rooms_per_wildcard":50}`)
	if err := set(func(l *config.Limits) { l.RoomsPerUser, l.RoomsPerConnection = 150, 20 }); err != nil {
		t.Error(err)
	}
	const why = "read since: limits.tiers.basic.rooms_per_wildcard"
	if s := r.Stats(); s.Bad != 1 || s.Rows != 3 || !strings.Contains(s.BadText, why) {
		t.Errorf("%+v", s)
	}
	n, _ := r.to.TierOf("basic")
	if row := r.to.Row(n); row.RoomsPerWildcard != 50 || row.RoomsPerConnection != 70 {
		t.Errorf("a row that does not fit is %+v", row)
	}
	r.put("pro", "")
	err = set(func(l *config.Limits) { delete(l.Tiers, "pro") })
	if r.has("pro", 0); err != nil || r.Stats().Bad != 0 {
		t.Errorf("%v, %+v", err, r.Stats())
	}
	names := func(l *config.Limits) {
		for i := range config.MaxTiers {
			l.Tiers[fmt.Sprint("t", i)] = l.Untiered()
		}
	}
	if err := set(names); err == nil {
		t.Error("a configuration with too many names was taken")
	}
	r.has("gold", 10)
	r.has("t1", 0)
}

// TestListBound: keys and names have a bound. What is beyond it does not hold, until there is room.
func TestListBound(t *testing.T) {
	r := newRig(t, true)
	for i := range config.MaxTiers {
		r.put(fmt.Sprint("t", i), rows(200+i))
	}
	s := r.Stats() // pro and basic have a number too
	if s.Rows != config.MaxTiers-2 || s.Bad != 2 || s.Lost != 0 || !strings.Contains(s.BadText, "restart the node") {
		t.Errorf("%+v", s)
	}
	r.has("t0", 200)
	r.has(fmt.Sprint("t", config.MaxTiers-3), 200+config.MaxTiers-3)
	r.has(fmt.Sprint("t", config.MaxTiers-1), 0)
	for i := range 2 * maxKeys {
		r.put(fmt.Sprint("bad", i), "{")
	}
	if s := r.Stats(); s.Bad != maxKeys-s.Rows || s.Lost == 0 || r.Again() {
		t.Errorf("%+v", s)
	}
	r.put("t0", rows(333)) // those that there are still change
	r.has("t0", 333)
	for i := range maxKeys {
		r.put(fmt.Sprint("bad", i), "")
	}
	if !r.Again() || r.Again() {
		t.Error("it is not read again, once, when there is room")
	}
	r.Begin(false)
	r.from(0, 1, false, "t0", rows(201))
	r.Whole()
	r.has("t0", 201)
	if s := r.Stats(); s.Lost != 0 || s.Rows != 1 {
		t.Errorf("%+v", s)
	}
}

// TestAtOnce: rows change while SIGHUP comes, and others look.
func TestAtOnce(t *testing.T) {
	r := newRig(t, true)
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for range 200 {
				r.Stats()
				r.to.Row(1)
				if err := r.SetLimits(&base().Limits); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 500 {
		r.put("pro", rows(100+i))
		if i%100 == 0 {
			r.Begin(false)
			r.put("gold", rows(100+i))
			r.Whole()
		}
	}
	others.Wait()
	r.put("pro", rows(9))
	r.has("pro", 9)
	if r.stats.Records < 500 || time.Since(r.said) < 0 {
		t.Errorf("%+v", r.stats)
	}
}

func FuzzRecord(f *testing.F) {
	for _, key := range []string{"pro", "gold", "", "\xff"} {
		f.Add([]byte(key), []byte(`{"messages_per_second":5,"burst":10,"snapshot_bytes":"1MiB","user_budgets":0.5}`))
		f.Add([]byte(key), []byte(`{"rooms_per_user":5`))
		f.Add([]byte(key), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := newRig(t, true)
		r.Record(0, 1, 1, true, key, value)
		if s := r.Stats(); s.Rows+s.Bad != 1 && value != nil || s.Rows == 1 && s.Bad == 1 {
			t.Errorf("%q %q: %+v", key, value, s)
		}
		r.Record(0, 2, 2, true, key, nil)
		if s := r.Stats(); s.Rows+s.Bad != 0 {
			t.Errorf("%q %q: it is not removed: %+v", key, value, s)
		}
		r.has("pro", 300)
	})
}
