package rooms

import "sync"

// ask is one request to an appender: exactly one field is set.
type ask struct {
	join    *Join
	leave   *Sub
	unwatch *Watch
	do      func(*shard) // for figures; runs on the appender
}

// mailbox is how other goroutines reach an appender. Its lock is held for a few instructions.
// Records and requests are taken out in whole slices.
type mailbox struct {
	mu     sync.Mutex
	asks   []ask
	parts  []*part
	closed bool

	wake chan struct{} // holds one token while there is something to take
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// ask adds a request and never blocks. It returns false if the appender has stopped.
func (b *mailbox) ask(a ask) bool { return add(b, &b.asks, a) }

// put adds records. It returns false if the appender has stopped.
func (b *mailbox) put(p *part) bool { return add(b, &b.parts, p) }

func add[T any](b *mailbox, list *[]T, x T) bool {
	b.mu.Lock()
	closed := b.closed
	if !closed {
		*list = append(*list, x)
	}
	b.mu.Unlock()
	if closed {
		return false
	}
	select { // not under the lock, which the appender takes next
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take empties the mailbox. The slices of the last call are filled next.
func (b *mailbox) take(asks []ask, parts []*part) ([]ask, []*part) {
	b.mu.Lock()
	asks, b.asks = b.asks, asks[:0]
	parts, b.parts = b.parts, parts[:0]
	b.mu.Unlock()
	return asks, parts
}

// asked returns how many requests wait.
func (b *mailbox) asked() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.asks))
}

// close refuses everything from now on, and returns the requests that were left.
func (b *mailbox) close() []ask {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	asks := b.asks
	b.asks = nil
	return asks
}
