/** Reaches a daemon on this host. */
export {};
