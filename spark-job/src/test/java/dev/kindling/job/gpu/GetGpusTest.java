package dev.kindling.job.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The discovery script, on a machine whose nvidia-smi is a script too. */
class GetGpusTest {
  private static final Path SCRIPT = Path.of("../submit/getGpus.sh").toAbsolutePath().normalize();

  @TempDir Path temp;

  /** What the script found last says of what is missing. */
  private String words = "";

  private String found(String smi, String visible) throws Exception {
    Path bin = Files.createDirectories(temp.resolve("bin"));
    for (String tool : List.of("bash", "env")) {
      Path link = bin.resolve(tool);
      if (!Files.exists(link)) {
        Files.createSymbolicLink(link, Path.of("/usr/bin", tool));
      }
    }
    if (!smi.isEmpty()) {
      Path script = bin.resolve("nvidia-smi");
      Files.writeString(script, "#!" + bin.resolve("bash") + "\n" + smi + "\n");
      assertThat(script.toFile().setExecutable(true)).isTrue();
    }
    List<String> command = new ArrayList<>(List.of(bin.resolve("bash").toString()));
    command.add(SCRIPT.toString());
    Path errors = temp.resolve("stderr");
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(errors.toFile());
    builder.environment().clear();
    builder.environment().put("PATH", bin.toString());
    if (!visible.equals("unset")) {
      builder.environment().put("CUDA_VISIBLE_DEVICES", visible);
    }
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isZero();
    words = Files.readString(errors);
    return said.strip();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "unset        | \"GPU-aa1\",\"GPU-ab2\",\"GPU-c3\"",
        "''           | ''",
        "1            | \"GPU-ab2\"",
        "2,0          | \"GPU-c3\",\"GPU-aa1\"",
        "GPU-c,GPU-aa | \"GPU-c3\",\"GPU-aa1\"",
        "0,7,1        | \"GPU-aa1\"",
        "-1           | ''",
        "MIG-x,1      | \"MIG-x\",\"GPU-ab2\""
      })
  void addresses_underVisibleDevices_areThoseThatTheDriverWouldShow(String visible, String expected)
      throws Exception {
    assertThat(found("printf '0, GPU-aa1\\n1, GPU-ab2\\n2, GPU-c3\\n'", visible))
        .isEqualTo("{\"name\":\"gpu\",\"addresses\":[" + expected + "]}");
  }

  @Test
  void addresses_withoutDriver_areNone() throws Exception {
    String none = "{\"name\":\"gpu\",\"addresses\":[]}";
    assertThat(found("", "unset")).isEqualTo(none);
    assertThat(words).contains("no nvidia-smi on the PATH");
    assertThat(found("echo no devices were found; exit 6", "0")).isEqualTo(none);
    assertThat(words).contains("nvidia-smi failed: no devices were found");
  }

  @Test
  void addresses_nameOfNoDevice_isTold() throws Exception {
    found("printf '0, GPU-aa1\\n'", "0,7");
    assertThat(words).contains("CUDA_VISIBLE_DEVICES is 0,7, and 7 names no device");
  }
}
