package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.cli.InProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;

/** Runs of methods by name, on golden cases with adapters of their own. */
abstract class MethodCase {
  /** Layers of another rank, and of another alpha. */
  static final String PATTERNS =
      " adapter.rank-pattern={\"(query|q_proj|c_attn)\"=6} adapter.alpha-pattern={\"(output.dense|mlp.+)\"=9}";

  static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");

  @TempDir Path temp;

  /** The case's run with an adapter of its own, and nothing said that a method may say. */
  List<String> fresh(GoldenFolder golden, Path output, String... more) {
    List<String> arguments = new ArrayList<>(golden.train(output));
    arguments.removeIf(
        a -> a.startsWith("adapter.init-from") || a.startsWith("optimizer.lora-plus-ratio"));
    arguments.addAll(List.of("adapter.r=4", "train.seed=3"));
    arguments.addAll(List.of(more));
    return arguments;
  }

  Path train(GoldenFolder golden, String method, String... more) {
    Path output = temp.resolve(method + Arrays.hashCode(more));
    List<String> arguments = fresh(golden, output, more);
    arguments.add("method=" + method);
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(method + run.stdout()).isZero();
    return output;
  }

  static List<String> words(String text) {
    return List.of(text.split(" ", -1));
  }

  static Map<String, StoredTensor> adapter(Path output) {
    return Safetensors.open(output.resolve(ADAPTER));
  }
}
