package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.cli.InProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Settings of methods that cannot be, and what is said of them. */
class MethodRefusalsTest extends MethodCase {
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
        .contains(
            key.isEmpty()
                ? "method is lorra: expected ce-lora | cola | dora | dylora"
                : "adapter.scaling is rank-stabilised, but adapter.init-from says standard");
  }

  /** What a folder says of itself counts as if it were configured. */
  @Test
  void train_methodBesideAFolderThatItCannotBe_isRefusedByName() {
    GoldenFolder dora = GoldenFolder.copy("llama-dora", temp);
    for (String setting : List.of("merge.links=2", "method=cola", "sync.exactness=fedex")) {
      List<String> arguments = new ArrayList<>(dora.train(temp.resolve("never"), setting));
      arguments.add(setting.startsWith("sync") ? "sync.mode=averaging" : "train.seed=1");
      InProcess refused = kindling(1, arguments);
      assertThat(refused.code()).isEqualTo(2);
      assertThat(refused.messages())
          .contains("beside what adapter.init-from brings: adapter.magnitudes: ")
          .contains(setting.startsWith("sync") ? setting.replace("=", " = ") : "merge.links");
    }
    GoldenFolder llama = GoldenFolder.copy("llama-gqa", temp);
    Path ranks = train(llama, "lora", words(PATTERNS.strip()).toArray(new String[0]));
    List<String> prefixes = new ArrayList<>(llama.train(temp.resolve("never"), "method=dylora"));
    prefixes.add("adapter.init-from=" + ranks.resolve("adapter"));
    InProcess refused = kindling(1, prefixes);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages())
        .contains("beside what adapter.init-from brings: adapter.ranks: ", "adapter.rank-pattern");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bert | adapter.r=33 | adapter.initialiser: the pair of",
        "bert | train.precision=bf16 | adapter.initialiser = olora adds to the frozen weights",
        "llama-tied-table-head | adapter.target-modules=[embed_tokens] | is an embedding",
        "llama-tied-table-head | adapter.target-modules=[lm_head] | are another layer's too"
      })
  void train_oloraWhereItCannotBe_isRefusedByName(String name, String setting, String message) {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    InProcess refused = kindling(1, fresh(golden, temp.resolve("never"), "method=olora", setting));
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "adapter.train=a | B begins at zero",
        "method=ffa-lora sync.mode=averaging sync.exactness=fedex | averages leave nothing out",
        "method=olora adapter.train=a sync.mode=averaging sync.exactness=ffa | trains B, and",
        "method=olora base.storage=as-stored | base.storage = as-stored: adapter.initialiser",
        "method=qlora adapter.initialiser=pissa | base.storage = nf4: adapter.initialiser = pissa",
        "method=cola base.storage=int8 | base.storage = int8: merge.links = 3 adds to the frozen",
        "method=null | method is null: expected",
        "merge.every-steps=4 train.steps=6 | does not divide the run's 6 steps: choose a divisor",
        "merge.every-steps=3 train.steps=6 sync.mode=averaging sync.averaging-frequency=2 | multiple",
        "merge.links=2 merge.every-steps=2 | set one of merge.links and merge.every-steps",
        "merge.warmup=0.1 | merge.warmup is for a chain: set merge.links above 1",
        "method=cola merge.pruned=0.5 | merge.pruned is for merge.optimizer = random",
        "method=cola adapter.train=a | each link begins with B at zero",
        "optimizer.floor=0.1 | optimizer.floor is for optimizer.schedule = linear",
        "method=dylora sync.mode=averaging sync.outer=nesterov | would move ranks that no worker",
        "method=dylora adapter.initialiser=olora | no prefix of them would be an adapter",
        "method=orthogonal adapter.ranks=prefix | = orthogonal are nothing as a whole, and their",
        "method=orthogonal adapter.r=1 adapter.train=a | B begins at zero",
        "method=cola adapter.ranks=last | merge.links = 3 adds to the frozen weights belongs to all",
        "method=dora merge.links=2 | adapter.magnitudes: merge.links adds pairs",
        "method=dora sync.mode=averaging sync.exactness=fedex | adapter.magnitudes: sync.exactness",
        "method=dylora adapter.rank-pattern={query=2} | a step's rank is one for all layers",
        "adapter.rank-pattern={query=0,\"(\"=1} | 'query' is 0: expected whole numbers",
        "adapter.rank-pattern={query=0,\"(\"=1} | '(' is no regular expression",
        "method=ce-lora sync.mode=averaging | sampling.kept: features are chosen by all gradients",
        "method=ce-lora adapter.initialiser=olora | weights are taken apart as they are loaded, and",
        "sampling.kept={query=1.5} | sampling.kept: 'query' is 1.5: expected numbers above 0",
        "sampling.every-steps=3 | is for sampled gradients: set sampling.kept",
        "sampling.kept={quarry=0.5} | match no layer with a pair",
        "method=ce-lora plan.chooser=fixed:f2b5 | with sampling.kept only a part of its gradient",
        "adapter.alpha-pattern=3 | adapter.alpha-pattern is 3: expected {name = number}",
        "adapter.alpha-pattern={quarry=3} | 'quarry' matches no layer with a pair",
        "method=cola train.precision=bf16 | merge.links = 3 adds to the frozen weights"
      })
  void train_settingsThatCannotBe_areNamed(String settings, String message) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    List<String> all = words(settings);
    InProcess refused =
        kindling(1, fresh(golden, temp.resolve("never"), all.toArray(new String[0])));
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains(message);
  }
}
