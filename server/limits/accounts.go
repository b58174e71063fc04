package limits

import (
	"hash/maphash"
	"sync"
)

// Accounts counts the connections and rooms of each user on this node, over all connections. A user
// is known while it has a connection, so the number of users is bounded by that of connections. Any
// goroutine may use it. A lock is held for one look into a map, and there are many locks.
type Accounts struct {
	seed   maphash.Seed
	shards [accountShards]accountShard
}

const (
	accountShards = 64
	// fewAccounts is how many users a shard may have had without its map being made again.
	fewAccounts = 64
)

type accountShard struct {
	mu   sync.Mutex
	by   map[string]account
	most int // the most users since the map was made
}

type account struct{ conns, rooms int32 }

func newAccounts() *Accounts { return &Accounts{seed: maphash.MakeSeed()} }

func (a *Accounts) shard(user string) *accountShard {
	return &a.shards[maphash.String(a.seed, user)%accountShards]
}

// Take counts one more connection of a user. It returns false if the user has most connections
// already. For a most of 0 there is no limit. It keeps the name until the last connection has gone.
func (a *Accounts) Take(user string, most int) bool {
	s := a.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	has := s.by[user]
	if most > 0 && int(has.conns) >= most {
		return false
	}
	if s.by == nil {
		s.by = map[string]account{}
	}
	has.conns++
	s.by[user] = has
	s.most = max(s.most, len(s.by))
	return true
}

// Give counts one connection less, and the rooms that it had.
func (a *Accounts) Give(user string, rooms int) {
	s := a.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	has := s.by[user]
	has.conns--
	has.rooms -= int32(rooms)
	if has.conns > 0 {
		s.by[user] = has
		return
	}
	delete(s.by, user)
	if n := len(s.by); s.most > fewAccounts && n < s.most/4 { // a map never shrinks after a storm
		kept := make(map[string]account, n)
		for user, has := range s.by {
			kept[user] = has
		}
		s.by, s.most = kept, n
	}
}

// TakeRooms counts n more rooms of a user, or as many as most allows (0: any number), and returns
// how many. The user must have a connection.
func (a *Accounts) TakeRooms(user string, n, most int) (granted int) {
	s := a.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	has, ok := s.by[user]
	if !ok {
		return n
	}
	if most > 0 {
		n = min(n, max(0, most-int(has.rooms)))
	}
	has.rooms += int32(n)
	s.by[user] = has
	return n
}

// GiveRooms counts n rooms less.
func (a *Accounts) GiveRooms(user string, n int) {
	s := a.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if has, ok := s.by[user]; ok {
		has.rooms -= int32(n)
		s.by[user] = has
	}
}

// Of returns how many connections and rooms a user has.
func (a *Accounts) Of(user string) (conns, rooms int) {
	s := a.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	has := s.by[user]
	return int(has.conns), int(has.rooms)
}

// Len returns how many users have a connection.
func (a *Accounts) Len() (n int) {
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		n += len(s.by)
		s.mu.Unlock()
	}
	return n
}
