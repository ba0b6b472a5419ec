// Contents of rt.stream.
export module rt.stream;
export import :adaptors;
export import :buffered;
export import :chunks;
export import :generator;
export import :merge;
export import :pace;
export import :part;
export import :range;
export import :run_ahead;
export import :stage;
export import :stream_map;
