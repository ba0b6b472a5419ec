// Some of rt.sched's partitions, for the models.
export module rt.sched_parts;
export import :mailbox;
export import :queue;
export import :ready;
export import :sleepers;
