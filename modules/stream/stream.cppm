// Contents of rt.stream.
export module rt.stream;
export import :generator;
export import :stage;
export import :adaptors;
