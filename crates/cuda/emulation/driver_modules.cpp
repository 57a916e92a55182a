// The mock driver's modules: the kernels that an image has, as far as the emulation has them, too.
#include "driver.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace mock {
namespace {

// `.version 8.0` as 80; 0 where there is none.
int number_behind(const std::string& text, const char* word) {
  const size_t at = text.find(word);
  int major = 0, minor = 0;
  if (at == std::string::npos) return 0;
  const int read = std::sscanf(text.c_str() + at + std::strlen(word), "%d.%d", &major, &minor);
  return read == 2 ? major * 10 + minor : 0;
}

// PTX's versions began to count with CUDA's at 11.0: 7.0.
int ptx_of_driver() {
  const int version = driver_version();
  return (version / 1000 - 4) * 10 + version % 1000 / 10;
}

bool is_compiled(const std::string& image) { return compiled_for(image) > 0; }

// PTX up to its zero, or machine code up to the end of its table of sections.
std::string copy_of(const char* image) {
  if (std::memcmp(image, "\x7f""ELF", 4) != 0) return image;
  uint64_t table;
  uint16_t entry_bytes, entries;
  std::memcpy(&table, image + 40, sizeof table);
  std::memcpy(&entry_bytes, image + 58, sizeof entry_bytes);
  std::memcpy(&entries, image + 60, sizeof entries);
  return std::string(image, table + size_t{entry_bytes} * entries);
}

// What the driver says to machine code.
int code_taken(const std::string& image) {
  const int built_for = compiled_for(image);
  const bool runs = built_for / 10 == capability().major && built_for % 10 <= capability().minor;
  return runs && number_from("MOCK_CUDA_COMPILED", 0) ? SUCCESS : NO_BINARY_FOR_GPU;
}

// What it says to PTX.
int text_taken(const std::string& text) {
  const int version = number_behind(text, ".version ");
  if (version == 0) return INVALID_IMAGE;
  if (version > ptx_of_driver()) return UNSUPPORTED_PTX_VERSION;
  int needed = 0;
  const size_t at = text.find(".target sm_");
  if (at == std::string::npos || std::sscanf(text.c_str() + at, ".target sm_%d", &needed) != 1) return INVALID_IMAGE;
  return capability().major * 10 + capability().minor < needed ? NO_BINARY_FOR_GPU : SUCCESS;
}

// Whether the kernel's parameters in the PTX are as large as the emulation's: else the two are not of the same sources.
bool same_parameters(const std::string& text, size_t entry, const emulation::Kernel& kernel) {
  const size_t end = text.find(')', entry);
  size_t count = 0;
  for (size_t at = text.find(".param ", entry); at < end; at = text.find(".param ", at + 1), count++) {
    if (count >= kernel.argument_bytes.size()) return false;
    const std::string line = text.substr(at, text.find_first_of(",\n", at) - at);
    size_t bytes = line.find("64 ") != std::string::npos && line.find(".b8") == std::string::npos ? 8 : 4;
    if (line.find(".b8") != std::string::npos) bytes = std::strtoull(line.c_str() + line.find('[') + 1, nullptr, 10);
    if (bytes != kernel.argument_bytes[count]) return false;
  }
  return count == kernel.argument_bytes.size();
}

}  // namespace

int compiled_for(const std::string& image) {
  if (image.compare(0, 4, "\x7f""ELF") != 0) return 0;
  return static_cast<unsigned char>(image[image[8] < 8 ? 48 : 49]);
}

}  // namespace mock

using namespace mock;

API cuModuleLoadDataEx(void** to, const void* image, unsigned count, int*, void**) {
  CALL();
  if (count > 0) return INVALID_VALUE;
  std::string copy = copy_of(static_cast<const char*>(image));
  if (const int code = is_compiled(copy) ? code_taken(copy) : text_taken(copy)) return code;
  books.compiled_modules += is_compiled(copy);
  auto* module = new Module{current(), std::move(copy)};
  books.modules.insert(module);
  *to = module;
  return SUCCESS;
}

API cuModuleLoadData(void** to, const void* image) { return cuModuleLoadDataEx(to, image, 0, nullptr, nullptr); }

API cuModuleUnload(void* handle) {
  CALL(true, true);
  auto* module = static_cast<Module*>(handle);
  if (!known(books.modules, module)) return INVALID_HANDLE;
  finish_all();
  for (auto at = books.functions.begin(); at != books.functions.end();) {
    if ((*at)->module == module) {
      delete *at;
      at = books.functions.erase(at);
    } else {
      ++at;
    }
  }
  books.modules.erase(module);
  delete module;
  return SUCCESS;
}

API cuModuleGetFunction(void** to, void* handle, const char* name) {
  CALL();
  auto* module = static_cast<Module*>(handle);
  if (!known(books.modules, module)) return INVALID_HANDLE;
  const bool compiled = is_compiled(module->image);
  // With its zero, where it ends a section's name.
  const std::string sought = compiled ? std::string(".text.") + name + '\0' : std::string(".entry ") + name + "(";
  const size_t entry = module->image.find(sought);
  const emulation::Kernel* kernel = emulation::find_kernel(name);
  if (entry == std::string::npos || !kernel) return NOT_FOUND;
  if (!compiled && !same_parameters(module->image, entry, *kernel)) {
    std::fprintf(stderr, "mock CUDA: the PTX and the emulation disagree about the parameters of %s\n", name);
    return INVALID_IMAGE;
  }
  auto* function = new Function{module, kernel};
  books.functions.insert(function);
  *to = function;
  return SUCCESS;
}

API cuFuncSetAttribute(void* handle, int attribute, int value) {
  CALL();
  auto* function = static_cast<Function*>(handle);
  if (!known(books.functions, function)) return INVALID_HANDLE;
  // The one that is known: MAX_DYNAMIC_SHARED_SIZE_BYTES. As on the cards that have the least.
  if (attribute != 8 || value < 0 || static_cast<size_t>(value) > emulation::MOST_SHARED_BYTES) return INVALID_VALUE;
  function->most_shared_bytes = value;
  return SUCCESS;
}
