package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.job.cli.InProcess;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.Methods;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Methods by name, from a fresh adapter to an exported one. */
class MethodsTest extends MethodCase {
  /** All methods, and, of one family, settings of several at once. */
  private static List<String> methods(boolean combined) {
    List<String> all = new ArrayList<>(Methods.names());
    if (!combined) {
      return all;
    }
    all.add("lora" + PATTERNS);
    all.add("olora" + PATTERNS);
    all.add("cola" + PATTERNS);
    all.add("dora" + PATTERNS);
    all.add("dora adapter.initialiser=olora");
    all.add("dora adapter.ranks=prefix");
    all.add("ce-lora adapter.magnitudes=true sampling.every-steps=2");
    all.add("ce-lora sampling.score=weight");
    all.add("ce-lora base.storage=nf4 adapter.magnitudes=true");
    all.add("ce-lora adapter.ranks=prefix adapter.dropout=0.1");
    all.add("rslora adapter.initialiser=olora optimizer.lora-plus-ratio=3");
    all.add("ffa-lora adapter.initialiser=olora");
    all.add("olora adapter.train=a");
    all.add("orthogonal adapter.train=a");
    return all;
  }

  /**
   * It begins as the base, and what it computes is what it exported: on the base by itself, the
   * loss that training ended with.
   */
  @ParameterizedTest
  @CsvSource({"bert", "gpt2", "llama-gqa"})
  void train_anyMethod_exportsWhatItLearned(String family) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    String held = "data.validation=" + golden.path("data.jsonl");
    Map<ByteBuffer, String> seen = new TreeMap<>();
    double base = 0;
    for (String method : methods(family.equals("llama-gqa"))) {
      Path output = temp.resolve(method.replaceAll("\\W", "-"));
      List<String> arguments = fresh(golden, output, held);
      arguments.addAll(words("method=" + method));
      InProcess trained = kindling(2, arguments);
      assertThat(trained.code()).as(method + trained.stdout()).isZero();
      InProcess evaluated = kindling(1, golden.evaluate(output));
      assertThat(evaluated.code()).as(method + evaluated.stdout()).isZero();
      assertThat(evaluated.json().get("loss").asDouble())
          .as(method)
          .isCloseTo(trained.json().at("/validation/loss").asDouble(), offset(1e-5));
      double before = trained.json().at("/before/loss").asDouble();
      base = seen.isEmpty() ? before : base;
      if (!method.matches("qlora|.*nf4.*")) { // whose base is another
        assertThat(before).as(method).isCloseTo(base, offset(1e-6));
      }
      byte[] bytes = Files.readAllBytes(output.resolve("adapter/adapter_model.safetensors"));
      String same = seen.put(ByteBuffer.wrap(bytes), method);
      assertThat(same).as("the same adapter as " + method).isNull();
    }
  }

  /** By itself at the least rank and length, and from the adapter of a run of plain LoRA. */
  @Test
  void train_anyMethod_runsAlone() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    for (String method : Methods.names()) {
      String name = "method=" + method;
      Path one = temp.resolve("one-" + method);
      InProcess least = kindling(1, fresh(golden, one, name, "adapter.r=1", "train.steps=1"));
      assertThat(least.code()).as(method + least.stdout()).isZero();
      if (!method.matches("dora|rslora")) { // which a folder says of itself
        List<String> arguments = new ArrayList<>(golden.train(temp.resolve("on-" + method), name));
        arguments.removeIf(a -> a.startsWith("optimizer.lora-plus-ratio"));
        InProcess goesOn = kindling(1, arguments);
        assertThat(goesOn.code()).as(method + goesOn.stdout()).isZero();
      }
    }
  }

  /** Of one rank, at one rate, without anything left out: plain LoRA, to the bit. */
  @ParameterizedTest
  @CsvSource({
    "rslora,adapter.r=1",
    "dylora,adapter.r=1",
    "lora-plus,optimizer.lora-plus-ratio=1",
    "qlora,base.storage=fp32"
  })
  void train_methodThatIsNone_isLora(String method, String setting) {
    GoldenFolder golden = GoldenFolder.copy("gpt2", temp);
    String[] rank = {setting.startsWith("adapter.r") ? setting : "train.seed=3"};
    assertThat(train(golden, method, setting).resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(
            train(golden, "lora", rank).resolve("adapter/adapter_model.safetensors"));
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

  /**
   * A result explained is the run that it was, whatever its method's settings were overruled by.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "method=lora-plus optimizer.lora-plus-ratio=1",
        "method=olora adapter.initialiser=kaiming",
        "method=olora",
        "method=rslora"
      })
  void kept_anyMethod_isTheSameRun(String settings) {
    List<String> overrides =
        new ArrayList<>(List.of("base.path=b", "data.train=t", "output=o", "train.steps=1"));
    overrides.addAll(words(settings));
    ConfigSource source = ConfigSource.read(Optional.empty(), overrides);
    ConfigSource kept = ConfigSource.kept(source.render());
    assertThat(kept.identity()).isEqualTo(source.identity());
    assertThat(ConfigSource.read(Optional.empty(), List.of("method=lora")).over(kept).identity())
        .containsEntry("adapter.scaling", "standard");
  }
}
