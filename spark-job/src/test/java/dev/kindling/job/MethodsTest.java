package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Methods by name, from a fresh adapter to an exported one, and what tells each from plain LoRA.
 */
class MethodsTest {
  private static final List<String> METHODS = List.of("lora", "rslora", "lora-plus", "ffa-lora");

  @TempDir Path temp;

  /** The case's run with an adapter of its own, and nothing said that a method may say. */
  private List<String> fresh(GoldenFolder golden, Path output, String... more) {
    List<String> arguments = new ArrayList<>(golden.train(output));
    arguments.removeIf(a -> a.startsWith("adapter.init-from") || a.contains("lora-plus-ratio"));
    arguments.addAll(List.of("adapter.r=4", "train.seed=3"));
    arguments.addAll(List.of(more));
    return arguments;
  }

  private Path train(GoldenFolder golden, String method, String... more) {
    Path output = temp.resolve(method + Arrays.hashCode(more));
    List<String> arguments = fresh(golden, output, more);
    arguments.add("method=" + method);
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(method + run.stdout()).isZero();
    return output;
  }

  private static Map<String, StoredTensor> adapter(Path output) {
    return Safetensors.open(output.resolve("adapter/adapter_model.safetensors"));
  }

  /**
   * What it computes is what it exported: on the base by itself, the loss that training ended with.
   */
  @ParameterizedTest
  @CsvSource({"bert", "gpt2", "llama-gqa"})
  void train_anyMethod_exportsWhatItLearned(String family) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String held = "data.validation=" + golden.path("data.jsonl");
    Map<ByteBuffer, String> seen = new TreeMap<>();
    for (String method : METHODS) {
      Path output = temp.resolve(method);
      List<String> arguments = fresh(golden, output, held);
      arguments.add("method=" + method);
      InProcess trained = kindling(2, arguments);
      assertThat(trained.code()).as(method + trained.stdout()).isZero();
      InProcess evaluated =
          kindling(
              1,
              List.of(
                  "evaluate",
                  "base.path=" + golden.folder(),
                  "adapter.init-from=" + output.resolve("adapter"),
                  held));
      assertThat(evaluated.code()).as(method + evaluated.stdout()).isZero();
      assertThat(evaluated.json().get("loss").asDouble())
          .as(method)
          .isCloseTo(trained.json().at("/validation/loss").asDouble(), offset(1e-5));
      byte[] bytes = Files.readAllBytes(output.resolve("adapter/adapter_model.safetensors"));
      String same = seen.put(ByteBuffer.wrap(bytes), method);
      assertThat(same).as("the same adapter as " + method).isNull();
    }
  }

  /** A as it was drawn, whatever it is trained with; B not. */
  @Test
  void train_ffaLora_leavesAAsItWasDrawn() {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    Map<String, StoredTensor> one =
        adapter(train(golden, "ffa-lora", "train.steps=1", "optimizer.weight-decay=0.5"));
    Map<String, StoredTensor> six = adapter(train(golden, "ffa-lora", "train.steps=6"));
    Map<String, StoredTensor> plain = adapter(train(golden, "lora", "train.steps=6"));
    one.forEach(
        (name, tensor) -> {
          if (name.contains("lora_A")) {
            assertThat(six.get(name).floats()).as(name).isEqualTo(tensor.floats());
            assertThat(plain.get(name).floats()).as(name).isNotEqualTo(tensor.floats());
          } else {
            assertThat(six.get(name).floats()).as(name).isNotEqualTo(tensor.floats());
          }
        });
  }

  /** Each setting of a method stands in the resolved configuration, and can be set otherwise. */
  @Test
  void method_anySetting_isShownAndYields() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = train(golden, "lora-plus", "optimizer.lora-plus-ratio=4");
    assertThat(Files.readString(output.resolve("config.resolved.conf")))
        .contains("lora-plus-ratio=\"4\"")
        .contains("method=lora-plus");
    Path other = train(golden, "lora", "optimizer.lora-plus-ratio=4");
    assertThat(other.resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(output.resolve("adapter/adapter_model.safetensors"));
    assertThat(Files.readString(train(golden, "rslora").resolve("config.resolved.conf")))
        .contains("scaling=rank-stabilised");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "adapter.init-from"})
  void method_unknownOrOtherThanTheAdapters_isRefusedByName(String key) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("never");
    List<String> arguments =
        new ArrayList<>(key.isEmpty() ? fresh(golden, output) : golden.train(output));
    arguments.add("method=" + (key.isEmpty() ? "lorra" : "rslora"));
    InProcess refused = kindling(1, arguments);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages())
        .contains(key.isEmpty() ? "method is 'lorra': expected ffa-lora, lora" : "adapter.scaling");
  }
}
