// Contents of rt.time.
export module rt.time;
export import :clock;
export import :wheel;
export import :sleep;
export import :interval;
export import :delay_queue;
export import :timeout;
