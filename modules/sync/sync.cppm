// Contents of rt.sync: what tasks of one program wait for among themselves.
export module rt.sync;
export import :waiters;
export import :mutex;
export import :notify;
export import :channel_core;
export import :channel_ops;
export import :channel;
export import :oneshot;
export import :semaphore;
export import :sequence;
export import :broadcast;
export import :watch;
