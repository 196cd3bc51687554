package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The engine's own host code, bindings and all, in a process whose CUDA computes on the CPU ({@code
 * src/test/cpp/fake.h}): tests that need a GPU, as {@code gpu-check} runs them.
 */
class FakeCudaTest {
  private static final int MINUTES = 10;

  @TempDir private static Path cuda;

  @TempDir private Path folder;

  @BeforeAll
  static void build() {
    Compiler.require("g++", "the host's calls to CUDA");
    Compiler.run(List.of("src/test/cpp/fake-cuda", cuda.toString()));
  }

  /**
   * @param eager which of the two streams do all at once; the others wait for as long as they may
   */
  @ParameterizedTest
  @CsvSource({
    "00,test DeviceQueueTest test DeviceGoldenTest test DeviceTf32GoldenTest "
        + "profile tiny r=8 tokens=8 rows=1 plans=f1kb1",
    "10,test DeviceQueueTest test DeviceBf16GoldenTest "
        + "step tiny r=8 tokens=8 rows=1 plans=flops"
  })
  void gpuCheck_onCudaThatIsACpu_passes(String eager, String checks)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dorg.bytedeco.javacpp.cachedir=" + folder.resolve("natives"));
    command.addAll(List.of("-Xmx1g", "-XX:+UseSerialGC", "-cp"));
    // Golden vectors are read as files.
    command.add("../core/src/test/resources:" + System.getProperty("java.class.path"));
    command.addAll(List.of(GpuCheck.class.getName(), "device"));
    command.addAll(List.of(checks.split(" ", -1)));
    Path stdout = folder.resolve("stdout");
    Path stderr = folder.resolve("stderr");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectOutput(stdout.toFile()).redirectError(stderr.toFile());
    builder.environment().put("LD_LIBRARY_PATH", cuda.toString());
    builder.environment().merge("PATH", cuda.toString(), (path, ours) -> ours + ":" + path);
    builder.environment().put("FAKE_CUDA_EAGER", eager);
    builder.environment().remove("CUDA_VISIBLE_DEVICES");
    Process process = builder.start();
    boolean ended;
    try {
      ended = process.waitFor(MINUTES, TimeUnit.MINUTES);
    } finally {
      process.destroyForcibly();
    }
    List<String> said = Files.readAllLines(stdout);
    String log = Files.readString(stderr);
    assertThat(ended).as("%s%n%s", said, log).isTrue();
    assertThat(process.exitValue()).as("%s%n%s", said, log).isZero();
    ObjectMapper json = new ObjectMapper();
    assertThat(json.readTree(said.get(0)).get("decision in bf16").asText()).contains("Made Up");
    long asked = Pattern.compile("test |step |profile ").matcher(checks).results().count();
    assertThat(said).hasSize(1 + (int) asked);
    for (String line : said.subList(1, said.size())) {
      JsonNode told = json.readTree(line);
      assertThat(told.has("error")).as(line).isFalse();
      assertThat(told.path("passed")).as(line).isEqualTo(told.path("found"));
      assertThat(told.path("works_of_graphs").asInt(1)).as(line).isPositive();
    }
    assertThat(log).contains("fake CUDA: a graph of 256");
  }
}
