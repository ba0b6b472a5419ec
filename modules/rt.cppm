// The umbrella: import rt; and nothing else.
export module rt;
export import rt.task;
export import rt.io;
export import rt.time;
export import rt.sched;
