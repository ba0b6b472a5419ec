// Contents of rt.sched.
export module rt.sched;
export import :counters;
export import :dump;
export import :runtime;
