package config

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tapecast/ingest"
	"tapecast/rooms"
	"tapecast/server/auth/jwks"
	"tapecast/server/auth/keyset"
	"tapecast/server/auth/shared"
	"tapecast/server/auth/verify"
)

// Connect tries what a start needs of others: the issuer's keys, the service of auth.verify, Redis, and
// Kafka's brokers, topics and rights. It calls say with one line for each result, as soon as it is
// known, and returns how many of them are faults. It takes a minute at most, and writes nothing to
// Kafka.
func (cfg *Config) Connect(ctx context.Context, say func(line string)) (faults int) {
	if from := cfg.Auth.JWKSURL; from != "" {
		faults += connectJWKS(ctx, from, say)
	}
	if from := cfg.Auth.Verify.URL; from != "" {
		faults += connectVerify(ctx, from, say)
	}
	if cfg.Auth.Redis.Address != "" {
		faults += connectRedis(ctx, &cfg.Auth, say)
	}
	if cfg.Demo() {
		say("nothing to connect to: without kafka.brokers an embedded broker is used")
		return faults
	}
	ingest.Connect(ctx, cfg.Kafka.clients(), cfg.topicAsks(), func(f ingest.Found) {
		word := "ok"
		switch f.Weight {
		case ingest.FoundOdd:
			word = "warning"
		case ingest.FoundBad:
			word = "fault"
			faults++
		}
		say(word + ": " + f.What + ": " + f.Text)
	})
	return faults
}

// connectJWKS fetches the issuer's keys.
func connectJWKS(ctx context.Context, from string, say func(line string)) (faults int) {
	keys, unused, err := jwks.Fetch(ctx, nil, from)
	for _, text := range unused {
		say("warning: auth.jwks_url: not used: " + text)
	}
	if err != nil {
		say(fmt.Sprintf("fault: auth.jwks_url: %s: %s", from, err))
		return 1
	}
	all := keyset.NewSet(keys)
	say(fmt.Sprintf("ok: auth.jwks_url: %d keys, for %s", all.Len(), strings.Join(all.Algorithms(), ", ")))
	return 0
}

// connectVerify asks the service of auth.verify about no token.
func connectVerify(ctx context.Context, from string, say func(line string)) (faults int) {
	status, err := verify.Try(ctx, from)
	if err != nil {
		say(fmt.Sprintf("fault: auth.verify.url: %s: %s", from, err))
		return 1
	}
	if status == http.StatusOK {
		say("warning: auth.verify.url: it answers 200 without a token: does it check tokens at all?")
		return 0
	}
	say(fmt.Sprintf("ok: auth.verify.url: it answers with status %d without a token", status))
	return 0
}

// connectRedis stores something in Redis, and reads it.
func connectRedis(ctx context.Context, a *Auth, say func(line string)) (faults int) {
	of, err := a.Shared()
	if err == nil {
		err = shared.Try(ctx, of)
	}
	if err != nil {
		say(fmt.Sprintf("fault: auth.redis: %s: %s", a.Redis.Address, err))
		return 1
	}
	say("ok: auth.redis: entries can be stored and looked up")
	return 0
}

func (cfg *Config) topicAsks() []ingest.TopicAsk {
	catalog, err := cfg.Catalog()
	if err != nil {
		return nil // Load has refused it
	}
	var out []ingest.TopicAsk
	at := map[string]int{}
	for i, r := range cfg.Ingest.Routes {
		n, ok := at[r.Topic]
		if !ok {
			n = len(out)
			at[r.Topic] = n
			out = append(out, ingest.TopicAsk{
				Name: r.Topic, Reads: true, Writes: cfg.Admin.Write,
				Absent: fmt.Sprintf("create it, or correct %s.topic", index("ingest.routes", i)),
			})
		}
		room, keeps := lastValueRoom(&r, catalog)
		if !keeps {
			continue
		}
		out[n].LastValues = true
		if from := fromValue(&r, room); from != "" {
			out[n].Compacted = append(out[n].Compacted, fmt.Sprintf("%s of %s looks at the value, which a tombstone "+
				"does not have, so that a deleted key stays in %q; take it from {@key} or {@header.x}",
				from, index("ingest.routes", i), room))
		}
	}
	if name := cfg.Auth.Revocations; name != "" {
		out = append(out, ingest.TopicAsk{
			Name: name, Reads: true, Writes: cfg.Admin.Write,
			Absent: "create it with cleanup.policy=compact, or no client is let in (auth.revocations)",
			Kept:   "what was revoked is forgotten when its record is deleted; set cleanup.policy=compact on it",
		})
	}
	if name := cfg.Limits.TiersTopic; name != "" {
		out = append(out, ingest.TopicAsk{
			Name: name, Reads: true,
			Absent: "create it with cleanup.policy=compact, or the node is never ready (limits.tiers_topic)",
			Kept:   "a tier is as in limits.tiers again when its record is deleted; set cleanup.policy=compact on it",
		})
	}
	if k := &cfg.Kafka; k.DeadLetter != "" {
		out = append(out, ingest.TopicAsk{
			Name: k.DeadLetter, Writes: true, Absent: "create it, or refused records are lost (kafka.dead_letter)",
		})
	}
	return out
}

func lastValueRoom(r *Route, catalog *rooms.Catalog) (room string, keeps bool) {
	for _, room := range r.Rooms {
		p, _, ok := catalog.Resolve(field.ReplaceAllString(room, "x"))
		if ok && (p.Class.Conflate || p.Class.Snapshot) {
			return room, true
		}
	}
	return "", false
}

// fromValue returns which part of a route's target comes from the records' values, or "".
func fromValue(r *Route, room string) string {
	uses := func(template string) bool {
		return slices.ContainsFunc(field.FindAllString(template, -1), func(f string) bool { return f[1] != '@' })
	}
	for path := range r.Match {
		if !strings.HasPrefix(path, "@") {
			return "match"
		}
	}
	switch {
	case uses(room):
		return "rooms"
	case uses(r.Key):
		return "key"
	}
	return ""
}
