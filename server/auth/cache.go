package auth

import (
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// MaxKnown is how many tokens are remembered, and MaxKnownBytes how much memory they take.
	MaxKnown      = 1 << 16
	MaxKnownBytes = MaxKnown * knownSize
	// knownSize is the memory of one, its user's name and the cache's own parts included. What its
	// identity refers to beyond knownName counts too.
	knownSize = 512
	knownName = 64
	// knownFor is how long a token is remembered.
	knownFor = time.Minute
	// sweepEvery is the time between two looks for entries that nobody asks for.
	sweepEvery = 10 * time.Second
)

// known remembers tokens that were found good, so that a client that comes again within a minute costs
// neither a signature check nor a call. An entry is found by the SHA-256 of its token; tokens are not
// kept. Refusals are not remembered: strangers can make up any number of bad tokens, which would
// displace the good ones, and some become good with time.
//
// Any goroutine may use it. It has no goroutine of its own: Authenticator.Run sweeps it.
type known struct {
	entries *otter.Cache[digest, knownToken]
	// generation counts the changes of the keys. An entry of an earlier one is not found: its key may
	// have been withdrawn. So a check that ends after the change leaves nothing behind.
	generation   atomic.Uint64
	hits, misses atomic.Uint64
}

type digest [sha256.Size]byte

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

type knownToken struct {
	id         Identity
	generation uint64
	until      time.Time
}

func newKnown(most uint64) *known {
	return &known{entries: otter.Must(&otter.Options[digest, knownToken]{
		MaximumWeight: most,
		Weigher:       func(_ digest, t knownToken) uint32 { return uint32(knownSize + max(0, t.id.size()-knownName)) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[digest, knownToken]) time.Duration {
			return max(1, time.Until(e.Value.until))
		}),
		Clock: monotonic{time.Now()},
	})}
}

// find returns the identity of a token that is remembered.
func (k *known) find(d digest) (Identity, bool) {
	t, ok := k.entries.GetIfPresent(d)
	if !ok || t.generation != k.generation.Load() || !time.Now().Before(t.until) {
		k.misses.Add(1)
		return Identity{}, false
	}
	k.hits.Add(1)
	return t.id, true
}

// has reports whether find would find a token, and counts nothing.
func (k *known) has(d digest) bool {
	e, ok := k.entries.GetEntryQuietly(d)
	return ok && e.Value.generation == k.generation.Load() && time.Now().Before(e.Value.until)
}

// add remembers a token until its end, and for knownFor at most. generation is that from before its
// check began.
func (k *known) add(d digest, id Identity, generation uint64, end time.Time) {
	now := time.Now()
	if until := now.Add(knownFor); until.Before(end) {
		end = until
	}
	if now.Before(end) && generation == k.generation.Load() {
		k.entries.Set(d, knownToken{id, generation, end})
	}
}

// size returns the bytes that an identity refers to.
func (id *Identity) size() int { return len(id.User) + len(id.ID) + id.Claims.size() }

// monotonic is the cache's clock, which does not step. It has no ticks: these would need a goroutine
// that ends with the garbage collector's next look only.
type monotonic struct{ begun time.Time }

// NowNano returns the nanoseconds since the cache was made.
func (m monotonic) NowNano() int64 { return max(0, int64(time.Since(m.begun))) }

// Tick returns nil: Authenticator.Run sweeps.
func (monotonic) Tick(time.Duration) <-chan time.Time { return nil }

// Known is how the memory of good tokens is used.
type Known struct {
	Hits, Misses uint64
	Entries      int
	Bytes        uint64 // of them, estimated
}

// Known returns the figures of this moment.
func (a *Authenticator) Known() Known {
	k := a.known
	return Known{Hits: k.hits.Load(), Misses: k.misses.Load(), Entries: k.entries.EstimatedSize(),
		Bytes: k.entries.WeightedSize()}
}
