package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.lora.Parameter.Role;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Which layers learn, where their values lie and what they start from. */
class AdapterLayoutTest {
  private static final String L = "bert.encoder.layer.";

  /** A tiny BERT: two blocks with their real names, pooler, head. */
  private static final List<LinearModule> MODULES = modules();

  private static List<LinearModule> modules() {
    List<LinearModule> all = new ArrayList<>();
    for (int l = 0; l < 2; l++) {
      for (String name : List.of("query", "key", "value")) {
        all.add(new LinearModule(L + l + ".attention.self." + name, 7, 7, true, true));
      }
      all.add(new LinearModule(L + l + ".attention.output.dense", 7, 7, true, true));
      all.add(new LinearModule(L + l + ".intermediate.dense", 7, 13, true, true));
      all.add(new LinearModule(L + l + ".output.dense", 13, 7, true, true));
    }
    all.add(new LinearModule("bert.pooler.dense", 7, 7, true, false));
    all.add(new LinearModule("classifier", 7, 3, true, false));
    return all;
  }

  private static AdapterSettings settings(TargetModules targets, String... saved) {
    return new AdapterSettings(3, 6, 0, targets, List.of(saved));
  }

  private static TargetModules names(String... names) {
    return new TargetModules.Names(List.of(names));
  }

  private static TargetModules regex(String pattern) {
    return new TargetModules.Regex(Pattern.compile(pattern));
  }

  private static List<String> adapted(TargetModules targets, String... saved) {
    return AdapterLayout.of(MODULES, settings(targets, saved)).parameters().stream()
        .filter(p -> p.role() == Role.A)
        .map(Parameter::module)
        .toList();
  }

  @Test
  void names_lastComponents_matchWholeComponentsOnly() {
    assertThat(adapted(names("query")))
        .containsExactly(L + "0.attention.self.query", L + "1.attention.self.query");
    assertThat(adapted(names("uery"))).isEmpty();
    assertThat(adapted(names("attention"))).isEmpty();
    assertThat(adapted(names(L + "1.output.dense"))).containsExactly(L + "1.output.dense");
  }

  /** Above the rank that a weight has pairs are a waste, and of the exact part no more is there. */
  @Test
  void beyondAndExact_rankAboveAWeights_areToldAndCut() {
    AdapterSettings wide = new AdapterSettings(8, 16, 0, names("query", "dense"), List.of());
    assertThat(AdapterLayout.of(MODULES, wide).beyond())
        .hasSize(9)
        .contains(
            "the pair of "
                + L
                + "0.attention.self.query has rank 8, and its weight rank 7 at most");
    assertThat(AdapterLayout.of(MODULES, settings(names("query"))).beyond()).isEmpty();
    AdapterSettings sampled =
        new AdapterSettings(
            6,
            16,
            Scaling.STANDARD,
            new LayerPatterns(Map.of("query", 4, "key", 9), Map.of()),
            false,
            new Sampling(Map.of("query", 0.5), 6, 200, true),
            0,
            names("query"),
            List.of());
    assertThat(MODULES.subList(0, 3)).extracting(sampled::exact).containsExactly(4, 7, 6);
    assertThat(sampled.sampling(sampled.sampling().beside(2)).exact(MODULES.get(2))).isEqualTo(2);
  }

  /** As in PEFT, "dense" is a last name of the pooler too, and "output.dense" one of two layers. */
  @Test
  void names_sharedByLayers_matchAllOfThem() {
    assertThat(adapted(names("dense"))).hasSize(7).contains("bert.pooler.dense");
    assertThat(adapted(names("output.dense"))).hasSize(4);
  }

  @Test
  void regex_isMatchedFromEndToEnd() {
    assertThat(adapted(regex("query"))).isEmpty();
    assertThat(adapted(regex(".*\\.1\\..*\\.(query|value)")))
        .containsExactly(L + "1.attention.self.query", L + "1.attention.self.value");
  }

  @Test
  void allLinear_savedModules_getNoPair() {
    assertThat(adapted(new TargetModules.AllLinear(), "classifier"))
        .hasSize(13)
        .contains("bert.pooler.dense")
        .doesNotContain("classifier");
    assertThat(adapted(new TargetModules.AllLinear(), "classifier", "pooler")).hasSize(12);
  }

  @Test
  void blocks_leaveOutPoolerAndHead_andNoneLeavesOutAll() {
    assertThat(adapted(new TargetModules.Blocks())).hasSize(12).allMatch(n -> n.startsWith(L));
    assertThat(adapted(new TargetModules.None(), "classifier")).isEmpty();
  }

  @Test
  void layout_modelOrder_isDenseAndShapedAsPeft() {
    AdapterLayout layout = AdapterLayout.of(MODULES, settings(names("output.dense"), "classifier"));
    int at = 0;
    for (Parameter p : layout.parameters()) {
      assertThat(p.offset()).isEqualTo(at);
      at += p.elements();
    }
    assertThat(layout.elements()).isEqualTo(at);
    assertThat(layout.parameters().stream().map(p -> p.peftName() + Arrays.toString(p.shape())))
        .startsWith(
            "base_model.model." + L + "0.attention.output.dense.lora_A.weight[3, 7]",
            "base_model.model." + L + "0.attention.output.dense.lora_B.weight[7, 3]",
            "base_model.model." + L + "0.output.dense.lora_A.weight[3, 13]")
        .endsWith(
            "base_model.model.classifier.weight[3, 7]", "base_model.model.classifier.bias[3]");
  }

  @Test
  void layout_savedLayerWithoutBias_hasAWeightOnly() {
    List<LinearModule> modules = List.of(new LinearModule("score", 5, 2, false, false));
    AdapterLayout layout = AdapterLayout.of(modules, settings(new TargetModules.None(), "score"));
    assertThat(layout.find("score", Role.WEIGHT)).isPresent();
    assertThat(layout.find("score", Role.BIAS)).isEmpty();
    assertThat(layout.elements()).isEqualTo(10);
  }

  @Test
  void problems_namesThatMatchNothing_areListedAllAtOnceWithNearOnes() {
    List<String> problems =
        SettingsProblems.of(MODULES, settings(names("q_proj", "query", "v_proj"), "scores"));
    assertThat(problems).hasSize(3);
    assertThat(problems.get(0))
        .contains("adapter.target-modules", "'q_proj'", "query, key, value", "output.dense");
    assertThat(problems.get(1)).contains("'v_proj'");
    assertThat(problems.get(2)).contains("adapter.modules-to-save", "'scores'", "classifier");
  }

  @Test
  void problems_nameOfASavedLayer_isOne() {
    assertThat(SettingsProblems.of(MODULES, settings(names("classifier"), "classifier")))
        .singleElement()
        .asString()
        .contains("'classifier' matches no linear layer");
  }

  @Test
  void problems_regexThatMatchesNothing_explainsItself() {
    assertThat(SettingsProblems.of(MODULES, settings(regex("query"))))
        .singleElement()
        .asString()
        .contains("'query'", "from end to end", "[query]", L + "0.attention.self.query");
  }

  @Test
  void problems_goodSettings_areNone() {
    assertThat(SettingsProblems.of(MODULES, settings(names("query", "dense"), "classifier")))
        .isEmpty();
    assertThat(SettingsProblems.of(MODULES, settings(regex(".*dense")))).isEmpty();
    assertThat(SettingsProblems.of(MODULES, settings(new TargetModules.Blocks()))).isEmpty();
  }

  @Test
  void start_withoutBase_isUniformAZeroBAndANarrowHead() {
    List<LinearModule> modules = new ArrayList<>(MODULES);
    modules.add(LinearModule.embedding("words", 53, 7));
    AdapterLayout layout =
        AdapterLayout.of(
            modules,
            settings(new TargetModules.Regex(Pattern.compile("words|.*layer.*")), "classifier"));
    AdapterLayout.Start start = layout.start(5, Initialiser.KAIMING.drawn(), p -> Optional.empty());
    for (Parameter p : layout.parameters()) {
      float[] values = slice(start.values(), p);
      double bound = 1 / Math.sqrt((double) p.shape()[p.shape().length - 1]);
      switch (p.role()) {
        case A -> {
          for (float v : values) {
            assertThat(Math.abs(v)).isLessThanOrEqualTo((float) bound);
          }
          assertThat(deviation(values)).isBetween(0.35 * bound, 0.8 * bound); // 1/√3 expected
        }
        case B, BIAS, EMBEDDING_A, MAGNITUDE, SELECTION -> assertThat(values).containsOnly(0f);
        case EMBEDDING_B -> assertThat(deviation(values)).isBetween(0.6, 1.4);
        case WEIGHT -> assertThat(deviation(values)).isBetween(0.012, 0.03); // 0.02 expected
      }
    }
    assertThat(start.fresh()).containsExactly("classifier");
  }

  @Test
  void start_headInTheBase_isTakenFromThere() {
    AdapterLayout layout = AdapterLayout.of(MODULES, settings(names("query"), "classifier"));
    AdapterLayout.Start start =
        layout.start(
            5,
            Initialiser.KAIMING.drawn(),
            p -> {
              float[] base = new float[p.elements()];
              Arrays.fill(base, p.role() == Role.BIAS ? 2 : 3);
              return Optional.of(base);
            });
    assertThat(start.fresh()).isEmpty();
    assertThat(slice(start.values(), layout.find("classifier", Role.WEIGHT).orElseThrow()))
        .containsOnly(3f);
    assertThat(slice(start.values(), layout.find("classifier", Role.BIAS).orElseThrow()))
        .containsOnly(2f);
    // A pair never comes from the base.
    assertThat(slice(start.values(), layout.parameters().get(1))).containsOnly(0f);
  }

  @Test
  void of_moreTrainablesThanASumCanCarry_isRefusedWithTheNumber() {
    List<LinearModule> modules = List.of(LinearModule.embedding("words", 128_256, 2_048));
    assertThatThrownBy(() -> AdapterLayout.of(modules, settings(names("none"), "words")))
        .hasMessageContainingAll("262,670,336 trainables", "at most 250,000,000");
    assertThat(AdapterLayout.of(modules, settings(names("words"))).elements()).isPositive();
  }

  /** Adapting more layers must not change what a layer starts from. */
  @Test
  void start_sameSeed_isAFunctionOfSeedAndNameAlone() {
    AdapterLayout few = AdapterLayout.of(MODULES, settings(names("value")));
    AdapterLayout many = AdapterLayout.of(MODULES, settings(new TargetModules.AllLinear()));
    Parameter inFew = few.parameters().get(0);
    Parameter inMany = many.find(inFew.module(), Role.A).orElseThrow();
    float[] first =
        slice(few.start(5, Initialiser.KAIMING.drawn(), p -> Optional.empty()).values(), inFew);
    assertThat(
            slice(
                many.start(5, Initialiser.KAIMING.drawn(), p -> Optional.empty()).values(), inMany))
        .isEqualTo(first);
    assertThat(
            slice(few.start(6, Initialiser.KAIMING.drawn(), p -> Optional.empty()).values(), inFew))
        .isNotEqualTo(first);
    assertThat(
            slice(
                few.start(5, Initialiser.KAIMING.drawn(), p -> Optional.empty()).values(),
                few.parameters().get(2)))
        .isNotEqualTo(first);
  }

  private static float[] slice(float[] vector, Parameter p) {
    return Arrays.copyOfRange(vector, p.offset(), p.offset() + p.elements());
  }

  private static double deviation(float[] values) {
    double squares = 0;
    for (float v : values) {
      squares += v * v;
    }
    return Math.sqrt(squares / values.length);
  }
}
