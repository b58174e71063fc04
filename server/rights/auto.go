package rights

import "strings"

// AutoJoin returns the configured rooms of somebody, each once, without those that may not be joined
// or that no claim names. Names that contain the user share one string with the returned user: rooms
// and connections keep them for as long as the client stays.
func (r *Rules) AutoJoin(who Who) (names []string, shared string) {
	if who.Anonymous || r.IsService(who) {
		return r.leaveOut(who, r.forNobody()), who.User
	}
	size := 0
	for i := range r.auto {
		if t := &r.auto[i]; t.Hole != "" && t.Claim == "" {
			size += len(t.Before) + len(who.User) + len(t.After)
		}
	}
	var b strings.Builder
	b.Grow(size)
	names, shared = make([]string, 0, len(r.auto)), who.User
	for i := range r.auto {
		switch t := &r.auto[i]; {
		case t.Hole == "":
			names = append(names, t.Before)
		case t.Claim == "":
			at := b.Len()
			b.WriteString(t.Before)
			b.WriteString(who.User)
			b.WriteString(t.After)
			text := b.String()[at:]
			names = append(names, text)
			shared = text[len(t.Before) : len(t.Before)+len(who.User)]
		case t.Each:
			for _, value := range who.Claims.Values(t.Claim) {
				names = append(names, t.Before+value+t.After)
			}
		default:
			if value := who.Claims.Value(t.Claim); value != "" {
				names = append(names, t.Before+value+t.After)
			}
		}
	}
	if len(r.claims) == 0 { // nothing can be left out, or be named twice
		return names, shared
	}
	return r.leaveOut(who, names), shared
}

// forNobody returns the configured rooms with no user in them.
func (r *Rules) forNobody() (names []string) {
	for i := range r.auto {
		if t := &r.auto[i]; t.Hole == "" {
			names = append(names, t.Before)
		}
	}
	return names
}

// leaveOut returns the names without those that may not be joined, each once. It keeps what is not the
// name of a room, for the client to be told.
func (r *Rules) leaveOut(who Who, names []string) []string {
	kept := names[:0]
	seen := map[string]bool{}
	for _, name := range names {
		p, owner, ok := r.catalog.Resolve(name)
		if seen[name] || ok && r.Admits(who, p, owner, name) != OK {
			continue
		}
		seen[name] = true
		kept = append(kept, name)
	}
	return kept
}
