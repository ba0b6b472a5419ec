// Contents of rt.signal.
export module rt.signal;
export import :signals;
export import :ctrl_c;
