package config

import (
	"slices"
	"testing"
)

// TestAnonymousFaults: only public rooms that there may be are listed for clients without a token.
func TestAnonymousFaults(t *testing.T) {
	const secret = "auth: {secret: " + testSecret + "}\n"
	cfg := mustLoad(t, secret+"anonymous: {rooms: [prices, \"trades:*\", \"prices:BTC*\"], connections: 5}")
	if a := cfg.Anonymous; !a.On() || a.Connections != 5 || a.ConnectionsPerAddress != 100 ||
		!slices.Equal(a.Rooms, []string{"prices", "trades:*", "prices:BTC*"}) {
		t.Errorf("%+v", a)
	}
	if cfg := mustLoad(t, secret); cfg.Anonymous.On() {
		t.Error("clients without a token are let in by default")
	}
	f := func(room string, want ...string) {
		t.Helper()
		faultsOf(t, secret+"allow: {\"trades:X*\": {role: desk}}\nanonymous: {rooms: [prices, \""+room+"\"]}", want...)
	}
	const at = "c.yaml:3: anonymous.rooms[1]: "
	const private = " is private, and without a token there is no owner; name public rooms only"
	f("trades:*")
	f("trades:Y")
	f("orders:42", at+`"orders:42"`+private)
	f("orders:*", at+`"orders:*"`+private)
	f("user:a*", at+`"user:a*"`+private)
	f("prices", at+`"prices" is named twice; remove one`)
	f("price", at+`"price" fits no pattern of rooms; did you mean prices? Else add a pattern for it`)
	f("*", at+`"*" does not begin with the whole prefix of a pattern of rooms; add a pattern for it, or remove it`)
	f("*:1", at+`"*:1" is not a room or a wildcard; write a public room such as prices, or a prefix with a star such `+
		`as "trades:*"`)
	f("user:{sub}", at+`"user:{sub}" is not a room or a wildcard; write a public room such as prices, or a prefix `+
		`with a star such as "trades:*"`)
	f("trades:XY", at+`allow asks for claims to join trades:X*, and without a token there are none; remove it here, `+
		`or there`)
}

// TestServicesFaults: what makes a service is said in full.
func TestServicesFaults(t *testing.T) {
	const secret = "auth: {secret: " + testSecret + ", services: "
	cfg := mustLoad(t, secret+"{scope: \"tapecast:service\", env: [a, b]}}")
	if s := cfg.Auth.Services; len(s) != 2 || s["scope"][0] != "tapecast:service" || len(s["env"]) != 2 {
		t.Errorf("%v", s)
	}
	faultsOf(t, secret+"{scope: \"\"}}", "c.yaml:1: auth.services.scope: has no value, or an empty one; write what "+
		"the claim must be, such as desk, or a list of such values")
}
