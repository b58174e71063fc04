package proto

// MaxNATSLine bounds an operation's line. INFO is the longest: it names all servers of a cluster.
const MaxNATSLine = 32 << 10
