// Package e2e runs the shipped binary end to end: real processes, real sockets, the
// embedded broker's library always, and a real Kafka where there is one.
//
// The harness is in the plain files, and the tests are in those that end with _test.go:
//
//   - suite, reaper: what all tests share, and what ends it. The binary is built once. A
//     shell ends what tests leave running, even if the suite itself is killed.
//   - scale: how much a run does. go test -short is small (make race). With
//     TAPECAST_E2E_FULL=1 a run does what the acceptance table asks for;
//     TAPECAST_E2E_PARTITIONS sets how many partitions the topics of TestStorm have.
//   - gateway, figures, command, logpipe: a process of the binary, its log, metrics and ports, which
//     the kernel chooses. It ends with the test. The test fails if the process panicked or
//     had a data race.
//   - cluster, producer, topic: a Kafka (onEach: the library's and a real one), a producer
//     whose records come once, and the topic as another reader sees it. All tests share the
//     real Kafka, and each has topics of its own: name and named add a suffix.
//   - dial, client, inbox, room, frame, deflate: a client that records everything and compares it
//     with the protocol. check reports what was not allowed. One goroutine reads. A test
//     waits with await, under the client's lock.
//   - lean, crowd, crowd_dial, roam: many clients at little cost. A crowd is one goroutine
//     and one epoll set. owners, viewers and compaction are crowds that know what each guest
//     must have.
//   - raw: a client that sends any bytes. browser_*: the clients of their page in node or Chromium,
//     behind a proxy that cuts it off.
//   - trial, survivor, toxic: a gateway between proxies that do harm, and clients that come back
//     with their positions, whatever happens. `make faults-e2e` runs all faults, and
//     TAPECAST_E2E_FAULTS chooses some by name. namespace and clock: a network of the clients' own,
//     and the clock of one process.
//   - wait: patience, conditions of other processes, and besideOthers: a test that waits more
//     than it works runs at the same time as others. main_test.go says how many do.
//   - recordings: the recorded market, at any pace.
package e2e
