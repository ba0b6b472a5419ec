// Contents of rt.task.
export module rt.task;
export import :misuse;
export import :result;
export import :frame;
export import :executor;
export import :operation;
export import :leaf;
export import :coroutine;
export import :stop;
export import :header;
export import :spawn;
export import :yield;
export import :combine;
export import :group;
export import :join;
export import :select;
export import :concepts;
