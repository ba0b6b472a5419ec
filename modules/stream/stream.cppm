// Contents of rt.stream.
export module rt.stream;
export import :generator;
export import :stage;
export import :adaptors;
export import :buffered;
export import :chunks;
export import :merge;
export import :pace;
export import :range;
export import :run_ahead;
export import :stream_map;
