package bench

import (
	"errors"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	x, err := parseTemplate(`{"id":{{seq}},"account":"{{key}}","data":{{value}},"again":"{{key}}/{{seq}}"}`)
	if err != nil {
		t.Fatal(err)
	}
	got := string(x.fill([]byte("before "), []byte(`{"v":1}`), "k7", 42))
	if want := `before {"id":42,"account":"k7","data":{"v":1},"again":"k7/42"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if x, err := parseTemplate(""); x != nil || err != nil {
		t.Errorf("%v, %v", x, err)
	}
	f := func(want, text string) {
		t.Helper()
		_, err := parseTemplate(text)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	f("once", `{"key":"{{key}}"}`)
	f("once", `[{{value}},{{value}}]`)
	f("no JSON", `{"data":{{value}}`)
	f("no JSON", `{"key":{{key}},"data":{{value}}}`)
	f("are more than", `[{{value}},"`+strings.Repeat("x", mostTemplate)+`"]`)
}

// A value is found and checked wherever an envelope has it, behind what looks like one too.
func TestFanoutTemplate(t *testing.T) {
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Template = `{"data":{"t":"x"},"seq":{{seq}},"inner":[{{value}}],"pos":"9:9","more":{"t":1}}`
	res, err := measured(t, cfg)
	leg := res.Legs[0]
	if leg.Want == 0 || leg.Unique != leg.Want || len(leg.Faults) != 0 || leg.Latency.Count == 0 {
		t.Fatalf("%v: %d of %d, %v", err, leg.Unique, leg.Want, leg.Faults)
	}
	cfg.Baseline = true
	if _, err := Fanout(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--value-template goes neither") {
		t.Error(err)
	}
}

// Records that the gateway refused are the cause of what is lost; what was refused before
// is not.
func TestRefused(t *testing.T) {
	const bad, rooms = `tapecast_ingest_bad_total{topic="a",reason="field"}`, "tapecast_rooms_refused_total"
	from := Metrics{bad: 5, rooms: 2, `tapecast_ingest_bad_total{reason="json"}`: 3}
	to := Metrics{bad: 705, rooms: 2, `tapecast_ingest_bad_total{reason="json"}`: 3, "tapecast_auth_refused_total": 9}
	g := &Leg{Lost: 70_000, Refused: refusedRecords(from, to)}
	g.judge(false)
	if len(g.Faults) != 1 || !strings.Contains(g.Faults[0], "lost, since the gateway refused 700 records (field 700)") {
		t.Errorf("%q", g.Faults)
	}
	g = &Leg{Lost: 70_000, Refused: refusedRecords(to, to)}
	if g.judge(false); len(g.Faults) != 1 || g.Faults[0] != "70000 messages lost" {
		t.Errorf("%q", g.Faults)
	}
}
