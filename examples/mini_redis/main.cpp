// mini_redis: a server that speaks Redis's protocol. README.md tells how it is made.
#include <csignal>
#include <memory>

#include "../options.hpp"
#include "server.hpp"

int main(int argc, char** argv) {
    mini::settings given;
    options o(argc, argv, "--appendonly FILE, --output-limit BYTES",
              [&](std::string_view name, std::string_view value) {
                  if (name == "--appendonly") {
                      if (value.empty() || value == "yes" || value == "no")
                          options::refuse("--appendonly: give the name of a file");
                      given.append_only = value;
                  } else if (name == "--output-limit") {
                      given.output_limit = options::number(name, value, 1024, 4'000'000'000);
                  } else {
                      return false;
                  }
                  return true;
              });
    int status = 0;
    std::unique_ptr<mini::server> server;  // it outlives the runtime, whose tasks use it
    try {
        auto runtime = o.builder.dump_on_signal(SIGUSR1).build();  // what do the clients wait for?
        if (runtime.worker_count() > mini::keyspace::most_shards)
            options::refuse("--workers: give at most 64");
        server = std::make_unique<mini::server>(given, runtime.flavor(), runtime.worker_count());
        auto done = runtime.block_on(server->run(o.at));
        if (!done) std::cerr << done.error().message() << options::hint(done.error()) << '\n';
        status = done ? 0 : 1;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        status = 1;
    }
    auto left = rt::audit();
    bool clean = left.frames_alive == 0 && left.operations_in_flight == 0;
    if (status == 0 || !clean)
        std::cout << "left behind: " << left.frames_alive << " tasks, " << left.operations_in_flight
                  << " operations\n";
    return clean ? status : 2;
}
