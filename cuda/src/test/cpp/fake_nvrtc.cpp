// NVRTC; fake.h. The machine code that it makes is the name of a library.
#include "fake.h"
#include <cstring>

struct Program { std::string source, image; };

extern "C" {
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 99; return 0; }
int nvrtcCreateProgram(Program** made, const char* source, const char*, int headers, const char* const*, const char* const*) {
  *made = new Program{source, ""};
  return headers == 0 ? 0 : 3;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  bool bf16 = false, architecture = false;
  for (int i = 0; i < count; i++) {
    bf16 |= strcmp(options[i], "-DACTIVE_BF16") == 0;
    architecture |= strcmp(options[i], "--gpu-architecture=sm_90") == 0;
  }
  program->image = fake::beside(bf16 ? "kernels-bf16.so" : "kernels-fp32.so");
  return architecture && program->source.find("rms_norm") != std::string::npos ? 0 : 6;
}
int nvrtcGetCUBINSize(Program* program, size_t* bytes) { *bytes = program->image.size() + 1; return 0; }
int nvrtcGetCUBIN(Program* program, char* into) { memcpy(into, program->image.c_str(), program->image.size() + 1); return 0; }
int nvrtcGetProgramLogSize(Program*, size_t* bytes) { *bytes = 1; return 0; }
int nvrtcGetProgramLog(Program*, char* into) { *into = 0; return 0; }
int nvrtcDestroyProgram(Program** program) { delete *program; *program = nullptr; return 0; }
}
