// Package resumes is the scenario of clients that go on from places that only Kafka
// still has. Each is timed from when it was due until it has every record that it lacks,
// beside greedy ones and without them. A client that is told to ask again later does so,
// and its clock runs on.
//
// Each honest client has a goroutine, and they share what they got behind a lock, taken
// once a client. The greedy live in hostile processes: one for all, and one for each
// that stalls, so that each is a user of its own. A goroutine a process waits for its
// tally, and is joined before that is read.
package resumes
