package auth

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/valyala/fastjson"
)

const (
	// maxClaimValues is how many values a claim may have that a rule names. A room of each may be joined.
	maxClaimValues = 256
	// maxClaimBytes bounds the claims that are kept of one token, for as long as its connection stays.
	maxClaimBytes = 4 << 10
)

// Claims are the claims of a token that rules of the configuration name (Authenticator.Keep). They do
// not change once made, so that many may share them. Nil has none.
type Claims struct {
	List []Claim // sorted by name
}

// Claim is one claim of a token, by its exact name.
type Claim struct {
	Name string
	// Text is the value if it is a string, or else what a number, true or false looks like in JSON.
	Text string
	// Words says that Text is a string, whose words count too.
	Words bool
	// List has the strings, numbers and truth values of a list. An object has no value.
	List []string
}

// Has reports whether the claim is, lists, or has among its words that value. Nothing has "".
func (c *Claim) Has(value string) bool {
	switch {
	case value == "":
		return false
	case c.Text == value || slices.Contains(c.List, value):
		return true
	case c.Words:
		for word := range strings.FieldsSeq(c.Text) {
			if word == value {
				return true
			}
		}
	}
	return false
}

// Has reports whether the claim of that name has the value.
func (c *Claims) Has(name, value string) bool {
	claim := c.named(name)
	return claim != nil && claim.Has(value)
}

// Value returns the one value of a claim: its text. It is "" for a list.
func (c *Claims) Value(name string) string {
	if claim := c.named(name); claim != nil {
		return claim.Text
	}
	return ""
}

// Values returns the values of a claim: those of its list, or the words of its text. Each comes once.
func (c *Claims) Values(name string) (values []string) {
	claim := c.named(name)
	if claim == nil {
		return nil
	}
	add := func(s string) {
		if s != "" && !slices.Contains(values, s) {
			values = append(values, s)
		}
	}
	for _, s := range claim.List {
		add(s)
	}
	for word := range strings.FieldsSeq(claim.Text) {
		add(word)
	}
	return values
}

// Equal reports whether both have the same claims.
func (c *Claims) Equal(other *Claims) bool {
	if c == nil || other == nil {
		return c == other
	}
	return slices.EqualFunc(c.List, other.List, func(a, b Claim) bool {
		return a.Name == b.Name && a.Text == b.Text && a.Words == b.Words && slices.Equal(a.List, b.List)
	})
}

// size returns the bytes that the claims take.
func (c *Claims) size() (n int) {
	if c == nil {
		return 0
	}
	const claim, text = 72, 16 // without what they refer to
	for i := range c.List {
		n += claim + len(c.List[i].Text)
		for _, s := range c.List[i].List {
			n += text + len(s)
		}
	}
	return n
}

func (c *Claims) named(name string) *Claim {
	if c != nil {
		for i := range c.List {
			if c.List[i].Name == name {
				return &c.List[i]
			}
		}
	}
	return nil
}

// keeps are the names of the claims that identities hold. It does not change once made.
type keeps struct {
	names []string
	since []uint16 // the turn in which each was added
	turn  uint16   // how many times names were added since the start
}

const (
	// maxKeeps is how many names of claims there may be at a time.
	maxKeeps = 1024
	// maxTurns is how many times there may be new ones.
	maxTurns = math.MaxUint16
)

// Keep makes identities hold the claims of those names, too. Tokens that were good before are checked
// again, since their identities lack them. An identity with a Looked of at least looked has them all.
func (a *Authenticator) Keep(names ...string) (looked uint16, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.keeps.Load()
	all := keeps{slices.Clone(was.names), slices.Clone(was.since), was.turn}
	for _, name := range names {
		at := slices.Index(all.names, name)
		if at < 0 {
			at, all.turn = len(all.names), was.turn+1
			all.names, all.since = append(all.names, name), append(all.since, all.turn)
		}
		looked = max(looked, all.since[at])
	}
	switch {
	case len(all.names) == len(was.names):
		return looked, nil
	case len(all.names) > maxKeeps:
		return 0, fmt.Errorf("rules name more than %d claims", maxKeeps)
	case was.turn == maxTurns:
		return 0, fmt.Errorf("rules have named new claims %d times since the start: restart the node", maxTurns)
	}
	a.keeps.Store(&all)
	a.known.generation.Add(1)
	return looked, nil
}

// KeepOnly makes identities hold the claims of those names, and no longer those of others that Keep was
// called with: a claim that no rule names must not refuse a token for its size.
func (a *Authenticator) KeepOnly(names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.keeps.Load()
	left := &keeps{turn: was.turn}
	for i, name := range was.names {
		if slices.Contains(names, name) {
			left.names, left.since = append(left.names, name), append(left.since, was.since[i])
		}
	}
	a.keeps.Store(left)
}

// claimOf reads a claim's value.
func claimOf(v *fastjson.Value) (c Claim) {
	switch v.Type() {
	case fastjson.TypeString:
		c.Text, c.Words = string(v.GetStringBytes()), true
	case fastjson.TypeArray:
		for _, x := range v.GetArray() {
			switch x.Type() {
			case fastjson.TypeString:
				c.List = append(c.List, string(x.GetStringBytes()))
			case fastjson.TypeNumber, fastjson.TypeTrue, fastjson.TypeFalse:
				c.List = append(c.List, x.String())
			}
		}
	case fastjson.TypeNumber, fastjson.TypeTrue, fastjson.TypeFalse:
		c.Text = v.String()
	}
	return c
}

// keep adds a claim to those that are kept, or notes that it is too large. The signature may not have
// been checked yet.
func (c *claims) keep(name string, v *fastjson.Value) {
	claim := claimOf(v)
	n, bytes := len(claim.List), len(claim.Text)
	if claim.Words {
		n = len(strings.Fields(claim.Text))
	}
	for _, s := range claim.List {
		bytes += len(s)
	}
	if c.keptBytes += bytes; c.tooLarge == nil && (n > maxClaimValues || c.keptBytes > maxClaimBytes) {
		c.tooLarge = &claimError{name}
	}
	if n > 0 || bytes > 0 {
		claim.Name = name
		c.kept = append(c.kept, claim)
	}
}

// identity returns what the token says, once it is found to be good.
func (c *claims) identity(expires int64) Identity {
	id := Identity{User: c.Subject, Expires: expires, ID: c.ID, Issued: c.issued(), Looked: c.looked}
	if len(c.kept) > 0 {
		slices.SortFunc(c.kept, func(a, b Claim) int { return strings.Compare(a.Name, b.Name) })
		id.Claims = &Claims{List: c.kept}
	}
	return id
}

// claimError says which claim is larger than what is kept of a token.
type claimError struct{ name string }

// Error names the claim.
func (e *claimError) Error() string {
	return fmt.Sprintf("the token's claim %q has more than %d values, or is too long: the claims that rules name here "+
		"may have %d bytes together", e.name, maxClaimValues, maxClaimBytes)
}
