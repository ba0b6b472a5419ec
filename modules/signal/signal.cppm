// Contents of rt.signal.
export module rt.signal;
export import :ctrl_c;
