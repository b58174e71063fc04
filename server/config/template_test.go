package config

import "testing"

// TestTemplate: a text with one placeholder.
func TestTemplate(t *testing.T) {
	f := func(text string, want Template, good bool) {
		t.Helper()
		if got, ok := ParseTemplate(text); ok != good || ok && got != want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
	f("prices", Template{Before: "prices"}, true)
	f("orders:{sub}", Template{Before: "orders:", Hole: "{sub}"}, true)
	f("{sub}:x", Template{Hole: "{sub}", After: ":x"}, true)
	f("a:{claims.desk}:b", Template{Before: "a:", Hole: "{claims.desk}", After: ":b", Claim: "desk"}, true)
	f("{claims.https://a.example/x[]}", Template{Hole: "{claims.https://a.example/x[]}", Claim: "https://a.example/x",
		Each: true}, true)
	for _, bad := range []string{"{", "}", "a}b{sub}", "{}", "{user}", "{claims.}", "{claims.[]}", "{claims.a[0]}",
		"{claims.a[][]}", "{claims}", "{sub}{sub}", "{sub}}", "{{sub}}", "{sub[]}", "{claims.a*}"} {
		f(bad, Template{}, false)
	}
}

// TestClaimRoomFaults: rooms by claims that nobody could join.
func TestClaimRoomFaults(t *testing.T) {
	f := func(auto string, want ...string) {
		t.Helper()
		faultsOf(t, "auth: {secret: "+testSecret+"}\nclasses:\n  mine: {owner: \"{claims.accounts[]}\"}\n"+
			"rooms: [{match: trades, class: stream}, {match: \"acc:{owner}\", class: mine}, "+
			"{match: \"orders:{owner}\", class: private}, {match: \"desk:*\", class: stream}]\n"+
			"auto_join: [\""+auto+"\"]", want...)
	}
	f("acc:{claims.accounts[]}")
	f("desk:{claims.desk}")
	f("desk:{claims.desks[]}")
	f("orders:{sub}")
	const other = `names rooms that belong to somebody else: the owner of class "`
	f("acc:{sub}", `c.yaml:5: auto_join[0]: "acc:{sub}" `+other+`mine" is {claims.accounts[]}; write `+
		`"acc:{claims.accounts[]}"`)
	f("acc:{claims.accounts}", `c.yaml:5: auto_join[0]: "acc:{claims.accounts}" `+other+
		`mine" is {claims.accounts[]}; write "acc:{claims.accounts[]}"`)
	f("orders:{claims.accounts[]}", `c.yaml:5: auto_join[0]: "orders:{claims.accounts[]}" `+other+
		`private" is {sub}; write "orders:{sub}"`)
	f("acc:A1", `c.yaml:5: auto_join[0]: "acc:A1" is the private room of one user, so that no other could join; write `+
		`"acc:{claims.accounts[]}"`)
	f("desks:{claims.desk}", `c.yaml:5: auto_join[0]: "desks:{claims.desk}" fits no pattern of rooms; add a `+
		`pattern for it, or remove it`)
}
