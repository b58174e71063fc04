// Package resumes is the scenario of clients that resume from positions that only Kafka
// still has. Each client is timed from when it was due until it has every record that it
// lacks, with greedy clients beside it and without. A client that is told to ask again
// later does so, and its clock runs on.
//
// Each honest client has a goroutine. They share their results behind a lock, which is
// taken once for each client. Greedy clients live in hostile processes: one process for all
// of them, and one for each client that stalls, so that each is a user of its own. A
// goroutine for each process waits for its tally, and is joined before the tally is read.
package resumes
