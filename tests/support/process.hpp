// What the system knows of a process, this one or another.
#pragma once
#include <dirent.h>

#include <cstddef>
#include <fstream>
#include <string>

/// The memory that it has in use, in KiB; 0 when there is no such process.
inline long resident_kib(const std::string& pid = "self") {
    std::ifstream status("/proc/" + pid + "/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
}

/// For comparison: the folder's own two entries count too, and here the descriptor that reads it.
inline std::size_t open_descriptors(const std::string& pid = "self") {
    std::size_t count = 0;
    auto* dir = ::opendir(("/proc/" + pid + "/fd").c_str());
    while (dir && ::readdir(dir)) ++count;
    if (dir) ::closedir(dir);
    return count;
}
