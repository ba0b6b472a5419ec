// Contents of rt.net.
export module rt.net;
export import :endpoint;
export import :tcp;
export import :listener;
