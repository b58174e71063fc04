package config

import (
	"reflect"
	"testing"
)

// TestAllow: conditions take a value or a list of them, and names with dots.
func TestAllow(t *testing.T) {
	cfg := mustLoad(t, `
auth: {secret: `+testSecret+`}
rooms:
  - {match: "trades", class: stream}
  - {match: "desk:*", class: stream}
  - {match: alerts.all, class: alert}
auto_join: []
allow:
  "desk:*": {role: desk, https://a.example/level: [1, "2"]}
  "de*": {mfa: true}
  alerts.all: {scope: "alerts:read"}
  "*": {tenant: acme}
`)
	want := map[string]Conditions{"desk:*": {"role": {"desk"}, "https://a.example/level": {"1", "2"}},
		"de*": {"mfa": {"true"}}, "alerts.all": {"scope": {"alerts:read"}}, "*": {"tenant": {"acme"}}}
	if !reflect.DeepEqual(cfg.Allow, want) {
		t.Errorf("%v", cfg.Allow)
	}
	if cfg := mustLoad(t, "auth: {secret: "+testSecret+"}\nallow:\n"); cfg.Allow == nil || len(cfg.Allow) != 0 {
		t.Errorf("%v", cfg.Allow)
	}
}

// TestAllowFaults: no rule is lost or left without effect.
func TestAllowFaults(t *testing.T) {
	f := func(rule string, want ...string) {
		t.Helper()
		faultsOf(t, "auth: {secret: "+testSecret+"}\nallow:\n  "+rule, want...)
	}
	f(`"prices:*": {role: desk}`)
	f(`"prices:*": {role: [desk, risk]}`)
	f(`"orders:*": {role: desk}`)
	const none = "; write what a claim must be, such as {role: desk}"
	const value = "has no value, or an empty one; write what the claim must be, such as desk, or a list of such values"
	f(`"prices:*": {}`, "c.yaml:3: allow.prices:*: has no conditions, so that nobody could join"+none)
	f(`"prices:*":`, "c.yaml:3: allow.prices:*: has no value; write keys of its own below it, or remove the line")
	f(`"prices:*": {role: }`, "c.yaml:3: allow.prices:*.role: has no value; write a text, or a list of texts, or "+
		"remove the line", "c.yaml:3: allow.prices:*: has no conditions, so that nobody could join"+none)
	f(`"prices:*": {role: ""}`, "c.yaml:3: allow.prices:*.role: "+value)
	f(`"prices:*": {role: []}`, "c.yaml:3: allow.prices:*.role: "+value)
	f(`"prices:*": {role: [a, ""]}`, "c.yaml:3: allow.prices:*.role: "+value)
	f(`"prices:*": {role: {x: y}}`, "c.yaml:3: allow.prices:*.role: cannot take keys of its own; write a text, or a "+
		"list of texts", "c.yaml:3: allow.prices:*: has no conditions, so that nobody could join"+none)
	f(`"prices:*": desk`, `c.yaml:3: allow.prices:*: cannot take the text "desk"; write keys of its own below it`)
	f(`"price:*": {role: desk}`, "c.yaml:3: allow.price:*: fits no pattern of rooms; did you mean prices:*? Else "+
		"add a pattern for it")
	f(`quotes: {role: desk}`, "c.yaml:3: allow.quotes: fits no pattern of rooms; add a pattern for it, or remove it")
	const shape = "is not a room or a wildcard; write a room such as desk:1, or a prefix with a star such as \"desk:*\""
	f(`"*:1": {role: desk}`, "c.yaml:3: allow.*:1: "+shape)
	f(`"orders:{owner}": {role: desk}`, "c.yaml:3: allow.orders:{owner}: "+shape)
	envFaultsOf(t, "auth: {secret: "+testSecret+"}", []string{"TAPECAST_ALLOW=x"}, "TAPECAST_ALLOW: no key is set by "+
		"this variable; it is set in the file only, and librdkafka's settings each by a name of their own, such as "+
		"TAPECAST_KAFKA_LIBRDKAFKA_CLIENT_ID")
}
