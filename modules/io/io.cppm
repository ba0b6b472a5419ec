// Contents of rt.io.
export module rt.io;
export import :reactor;
export import :handle;
export import :bytes;
export import :buffered;
export import :blocking;
