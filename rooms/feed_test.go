package rooms

import "testing"

func TestPositionsJSON(t *testing.T) {
	f := func(p Positions, want string) {
		t.Helper()
		if got := string(p.AppendJSON([]byte("x"))); got != "x"+want {
			t.Errorf("%+v: got %s, want x%s", p, got, want)
		}
	}
	f(Positions{}, `{}`)
	f(Positions{Epoch: "k3x9"}, `{"epoch":"k3x9"}`)
	f(Positions{Epoch: "k3x9", Offsets: []Pos{{0, 1234}}}, `{"epoch":"k3x9","0":1234}`)
	f(Positions{Epoch: `a"b`, Offsets: []Pos{{2, -1}, {11, 9007199254740993}}},
		`{"epoch":"a\"b","2":-1,"11":9007199254740993}`)
}

func TestFeed(t *testing.T) {
	f := NewFeed("market.trades")
	if f.Topic() != "market.trades" || f.Epoch() != "" || f.Partitions() != 0 {
		t.Errorf("a new feed is %q of epoch %q with %d partitions", f.Topic(), f.Epoch(), f.Partitions())
	}
	f.Open("e1", 3)
	if f.Epoch() != "e1" || f.Partitions() != 3 {
		t.Errorf("an opened feed has epoch %q and %d partitions", f.Epoch(), f.Partitions())
	}
}

// TestFeedIdentity: a topic id stands for the epoch that it was noted for, while that lasts.
func TestFeedIdentity(t *testing.T) {
	feed := NewFeed("t")
	f := func(id, want string) {
		t.Helper()
		if got := feed.EpochOf(id); got != want {
			t.Errorf("the epoch of %q is %q, want %q", id, got, want)
		}
	}
	f("id1", "id1")
	feed.Identify("id1", "e1")
	f("id1", "id1")
	feed.Open("e1", 3)
	f("id1", "e1")
	f("id2", "id2")
	feed.Open("cut", 3) // its log was cut: the offsets mean other records now
	f("id1", "id1")
	feed.Identify("id2", "e2")
	feed.Open("e2", 3)
	f("id2", "e2")
	f("id1", "id1")
	feed.Identify("a+/b==", "e2")
	f("a-_b", "e2")
	f("a+/b", "e2")
}
