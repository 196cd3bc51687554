package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The kernels in the machine code of devices that are not here. */
@Execution(ExecutionMode.CONCURRENT)
class KernelCompileTest {
  @TempDir Path temp;

  @ParameterizedTest
  @CsvSource({
    "sm_75,false",
    "sm_80,false",
    "sm_80,true",
    "sm_90,false",
    "sm_90,true",
    "sm_100,false",
    "sm_100,true"
  })
  void kernels_everyArchitecture_compileWithoutAWarning(String architecture, boolean bf16)
      throws IOException {
    String compiler = Compiler.require("nvcc", "kernels for " + architecture);
    Path source = Files.writeString(temp.resolve("kindling.cu"), Sources.all());
    Path cubin = temp.resolve("kindling.cubin");
    List<String> command =
        new ArrayList<>(List.of(compiler, "-arch=" + architecture, "-Werror=all-warnings"));
    command.addAll(Sources.options(bf16));
    command.addAll(List.of("-cubin", "-o", cubin.toString(), source.toString()));
    Compiler.run(command);
    assertThat(cubin).isNotEmptyFile();
  }

  /** Sums that depend on which thread comes first would not be the same twice. */
  @Test
  void kernels_useNoAtomics() {
    assertThat(Sources.all())
        .doesNotContainPattern("atomic[A-Z]")
        .doesNotContainPattern("(?m)^\\s*#include");
  }
}
