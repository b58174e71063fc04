package proto

// MaxNATSLine bounds an operation's line; INFO's names all servers of a cluster.
const MaxNATSLine = 32 << 10
