// The umbrella: import rt; and nothing else.
export module rt;
export import rt.task;
export import rt.sync;
export import rt.io;
export import rt.time;
export import rt.net;
export import rt.stream;
export import rt.sched;
export import rt.signal;
