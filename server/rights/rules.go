package rights

import (
	"slices"
	"strings"

	"tapecast/rooms"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// Who is somebody who wants to join rooms.
type Who struct {
	User   string
	Claims *auth.Claims
	// Looked is for how many of the names of Authenticator.Keep the token was looked at.
	Looked uint16
	// Anonymous is somebody without a token, who has no user and no claims.
	Anonymous bool
}

// Verdict says whether somebody may join, or why not.
type Verdict uint8

const (
	OK           Verdict = iota
	OtherUser            // the private room is another user's
	EachOnes             // a wildcard over private rooms
	NotAllowed           // the claims do not fulfil allow
	NotAnonymous         // a room that clients without a token may not join
	Verdicts             // how many there are
)

// String returns the verdict's name in figures.
func (v Verdict) String() string {
	return [...]string{"", "owner", "private_wildcard", "claims", "anonymous"}[v]
}

// Rules say who may join which room.
type Rules struct {
	catalog  *rooms.Catalog
	literals map[string]conditions      // of allow, by room
	prefixes map[string]conditions      // of allow, by the text before the star
	lengths  []int                      // that prefixes have, ascending
	owners   map[string]config.Template // of private classes, by Class.Owner
	auto     []config.Template          // of auto_join
	listed   []string                   // rooms and wildcards of clients without a token
	services conditions
	claims   []string
}

// conditions are what claims must be. All must hold.
type conditions []condition

type condition struct {
	claim string
	any   []string
}

// New compiles the rules of a configuration that was checked.
func New(cfg *config.Config, catalog *rooms.Catalog) *Rules {
	r := &Rules{catalog: catalog, literals: map[string]conditions{}, prefixes: map[string]conditions{},
		owners: map[string]config.Template{}, listed: cfg.Anonymous.Rooms}
	r.services = r.compile(cfg.Auth.Services)
	for pattern, of := range cfg.Allow {
		when := r.compile(of)
		if prefix, star := strings.CutSuffix(pattern, "*"); star {
			r.prefixes[prefix] = when
			r.lengths = append(r.lengths, len(prefix))
		} else {
			r.literals[pattern] = when
		}
	}
	for _, p := range catalog.Patterns() {
		if owner := p.Class.Owner; owner != "" {
			r.owners[owner] = r.template(owner)
		}
	}
	for _, name := range cfg.AutoJoin {
		r.auto = append(r.auto, r.template(name))
	}
	slices.Sort(r.lengths)
	r.lengths = slices.Compact(r.lengths)
	slices.Sort(r.claims)
	r.claims = slices.Compact(r.claims)
	return r
}

func (r *Rules) template(text string) config.Template {
	t, _ := config.ParseTemplate(text)
	if t.Claim != "" {
		r.claims = append(r.claims, t.Claim)
	}
	return t
}

func (r *Rules) compile(of config.Conditions) (out conditions) {
	for claim, values := range of {
		out = append(out, condition{claim, values})
		r.claims = append(r.claims, claim)
	}
	return out
}

// Claims returns the names of the claims that the rules need, sorted.
func (r *Rules) Claims() []string { return r.claims }

// Admits decides on a room, which belongs to the pattern and, if that is private, to the owner.
func (r *Rules) Admits(who Who, p *rooms.Pattern, owner, room string) Verdict {
	switch {
	case who.Anonymous && (p.Class.Private() || !r.lists(room)):
		return NotAnonymous
	case r.IsService(who):
		return OK
	}
	if p.Class.Private() && !r.owns(who, p.Class.Owner, owner) {
		return OtherUser
	}
	if found, ok := r.allows(who, room, true); found && !ok {
		return NotAllowed
	}
	return OK
}

// owns reports whether somebody owns the private rooms of an owner, by the rule of their class.
func (r *Rules) owns(who Who, rule, owner string) bool {
	t, known := r.owners[rule]
	switch {
	case owner == "" || !known || t.Hole == "":
		return false
	case t.Claim == "":
		return owner == who.User
	case t.Each:
		return who.Claims.Has(t.Claim, owner)
	}
	return owner == who.Claims.Value(t.Claim)
}

// AdmitsUnder decides on all rooms of the pattern that there are or may be under a prefix.
func (r *Rules) AdmitsUnder(who Who, p *rooms.Pattern, prefix string) Verdict {
	switch {
	case who.Anonymous && (p.Class.Private() || !r.lists(prefix+"*")):
		return NotAnonymous
	case p.Class.Private():
		return EachOnes
	case r.IsService(who):
		return OK
	}
	found, ok := r.allows(who, prefix, false)
	if ok {
		return OK // an entry that covers all of them is fulfilled
	}
	if found {
		return NotAllowed
	}
	for narrower := range r.prefixes { // entries for some of them
		if len(narrower) > len(prefix) && strings.HasPrefix(narrower, prefix) {
			if _, ok := r.allows(who, narrower, false); !ok {
				return NotAllowed
			}
		}
	}
	for room := range r.literals {
		if !strings.HasPrefix(room, prefix) {
			continue
		}
		if of, _, _ := r.catalog.Resolve(room); of != p { // a room with a pattern of its own is not under it
			continue
		}
		if _, ok := r.allows(who, room, true); !ok {
			return NotAllowed
		}
	}
	return OK
}

// lists reports whether clients without a token may join a room, or all rooms of a wildcard.
func (r *Rules) lists(name string) bool {
	return slices.ContainsFunc(r.listed, func(entry string) bool {
		prefix, star := strings.CutSuffix(entry, "*")
		return name == entry || star && len(name) > len(prefix) && strings.HasPrefix(name, prefix)
	})
}

// IsService reports whether somebody is a service, which may join any room.
func (r *Rules) IsService(who Who) bool { return !who.Anonymous && r.services.fulfilled(who.Claims) }

// allows looks for the entries of allow that match a name and, unless it is a whole one, every name
// that begins with it. found: there are some. ok: one of them is fulfilled.
func (r *Rules) allows(who Who, name string, whole bool) (found, ok bool) {
	if when, is := r.literals[name]; is && whole {
		if found = true; when.fulfilled(who.Claims) {
			return true, true
		}
	}
	for _, n := range r.lengths {
		if n > len(name) {
			break
		}
		if when, is := r.prefixes[name[:n]]; is {
			if found = true; when.fulfilled(who.Claims) {
				return true, true
			}
		}
	}
	return found, false
}

// fulfilled reports whether the claims are what is asked for. Without conditions they are not.
func (c conditions) fulfilled(claims *auth.Claims) bool {
	for i := range c {
		has := func(value string) bool { return claims.Has(c[i].claim, value) }
		if !slices.ContainsFunc(c[i].any, has) {
			return false
		}
	}
	return len(c) > 0
}
