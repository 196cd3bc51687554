package dev.kindling.lora;

import dev.kindling.InvalidInput;
import dev.kindling.lora.Initialiser.Drawn;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.tensor.Seeds;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;

/**
 * The trainables of a run as one flat vector: for each layer in model order its A and B, or its
 * whole weight and bias. A pure function of model and settings, so that driver and executors agree.
 */
public final class AdapterLayout {
  /** Standard deviation of a head that the base does not have: BERT's initializer_range. */
  public static final double HEAD_DEVIATION = 0.02;

  /** A step's sum of 8 bytes for each must fit one array. */
  public static final long MOST_TRAINABLES = 250_000_000;

  private final AdapterSettings settings;
  private final List<Parameter> parameters;
  private final int elements;

  private AdapterLayout(AdapterSettings settings, List<Parameter> parameters, int elements) {
    this.settings = settings;
    this.parameters = List.copyOf(parameters);
    this.elements = elements;
  }

  /**
   * Lays out the trainables. Modules trained in full get no pair.
   *
   * @param modules every linear layer of the model, in order
   */
  public static AdapterLayout of(List<LinearModule> modules, AdapterSettings settings) {
    List<Parameter> parameters = new ArrayList<>();
    refuseTooMany(modules, settings);
    int at = 0;
    for (LinearModule module : modules) {
      for (Parameter next : trainables(module, settings, at)) {
        parameters.add(next);
        at = Math.addExact(at, next.elements());
      }
    }
    return new AdapterLayout(settings, parameters, at);
  }

  private static void refuseTooMany(List<LinearModule> modules, AdapterSettings settings) {
    long all = 0;
    for (LinearModule m : modules) {
      long whole = (long) m.in() * m.out() + m.out();
      long pair = (long) settings.r(m.name()) * (m.in() + m.out());
      all += isSaved(m, settings) ? whole : settings.targets().matches(m) ? pair : 0;
    }
    if (all > MOST_TRAINABLES) {
      throw new InvalidInput(
          "adapter",
          String.format(Locale.ROOT, "has %,d trainables", all),
          String.format(
              Locale.ROOT,
              "at most %,d: lower adapter.r, or name fewer adapter.target-modules and"
                  + " modules-to-save",
              MOST_TRAINABLES));
    }
  }

  private static List<Parameter> trainables(LinearModule m, AdapterSettings settings, int at) {
    int r = settings.r(m.name());
    if (isSaved(m, settings)) {
      Parameter weight = new Parameter(m.name(), Role.WEIGHT, at, m.turned(), m.weightShape());
      return m.bias()
          ? List.of(weight, new Parameter(m.name(), Role.BIAS, at + weight.elements(), m.out()))
          : List.of(weight);
    }
    if (!settings.targets().matches(m)) {
      return List.of();
    }
    if (m.kind() == Kind.EMBEDDING) {
      if (settings.magnitudes()) {
        throw new InvalidInput(
            "adapter.magnitudes",
            m.name() + " is an embedding",
            "magnitudes are for linear layers: take it out of adapter.target-modules");
      }
      Parameter a = new Parameter(m.name(), Role.EMBEDDING_A, at, true, m.in(), r);
      return List.of(a, new Parameter(m.name(), Role.EMBEDDING_B, at + a.elements(), m.out(), r));
    }
    Parameter a = new Parameter(m.name(), Role.A, at, r, m.in());
    Parameter b = new Parameter(m.name(), Role.B, at + a.elements(), m.out(), r);
    List<Parameter> all = new ArrayList<>(List.of(a, b));
    if (settings.magnitudes()) {
      all.add(new Parameter(m.name(), Role.MAGNITUDE, end(all), m.out()));
    }
    if (settings.sampling().samples(m.name())) {
      all.add(new Parameter(m.name(), Role.SELECTION, end(all), m.out()));
    }
    return all;
  }

  private static int end(List<Parameter> parameters) {
    Parameter last = parameters.get(parameters.size() - 1);
    return last.offset() + last.elements();
  }

  static boolean isSaved(LinearModule module, AdapterSettings settings) {
    return settings.modulesToSave().stream().anyMatch(module::liesIn);
  }

  public AdapterSettings settings() {
    return settings;
  }

  /** All trainables in vector order. */
  public List<Parameter> parameters() {
    return parameters;
  }

  /** Those that are the adapter's, in vector order: all but marks of the run's own. */
  public List<Parameter> learned() {
    return parameters.stream().filter(p -> p.role().learned()).toList();
  }

  /** How many of the vector's elements are learned. */
  public int learnedElements() {
    return learned().stream().mapToInt(Parameter::elements).sum();
  }

  /** How many of the vector's elements have gradients, where these halves learn. */
  public int learning(Halves halves) {
    return learned().stream()
        .filter(p -> halves.learn(p.role()))
        .mapToInt(Parameter::elements)
        .sum();
  }

  /** Length of the flat vector. */
  public int elements() {
    return elements;
  }

  /** The trainable of a layer in a role, if the layer has it. */
  public Optional<Parameter> find(String module, Role role) {
    return parameters.stream()
        .filter(p -> p.role() == role && p.module().equals(module))
        .findFirst();
  }

  /** s of a layer with a pair. */
  public double scale(String module) {
    return settings.scale(module);
  }

  /**
   * The same modules, their pairs at another rank with the same scale; of those with a rank of
   * their own in proportion.
   */
  public AdapterLayout atRank(int rank) {
    return resized(rank, settings.scaling().alpha(settings.scale(), rank));
  }

  /** The same modules, their pairs at a lower rank with the same alpha. */
  AdapterLayout prefix(int rank) {
    return resized(rank, settings.alpha());
  }

  private AdapterLayout resized(int rank, double alpha) {
    AdapterSettings same = settings.at(rank, alpha);
    List<Parameter> resized = new ArrayList<>();
    int at = 0;
    for (Parameter p : parameters) {
      long[] shape = p.shape().clone();
      if (!p.role().whole()) {
        shape[p.role() == Role.A ? 0 : 1] = same.r(p.module());
      }
      Parameter next = new Parameter(p.module(), p.role(), at, p.turned(), shape);
      resized.add(next);
      at = Math.addExact(at, next.elements());
    }
    return new AdapterLayout(same, resized, at);
  }

  /** The pairs alone, at a rank, behind each other. */
  public AdapterLayout pairs(int rank) {
    List<Parameter> pairs = parameters.stream().filter(p -> !p.role().whole()).toList();
    return new AdapterLayout(settings, pairs, 0).atRank(rank);
  }

  /**
   * Pairs of linear layers whose rank is higher than any change of their weights can have: legal,
   * and a waste.
   *
   * @return one sentence each
   */
  public List<String> beyond() {
    List<String> beyond = new ArrayList<>();
    for (Parameter a : parameters) {
      Optional<Parameter> b = find(a.module(), Role.B);
      if (a.role() == Role.A && b.isPresent()) {
        long most = Math.min(a.shape()[1], b.get().shape()[0]);
        if (a.shape()[0] > most) {
          beyond.add(
              "the pair of %s has rank %d, and its weight rank %d at most"
                  .formatted(a.module(), a.shape()[0], most));
        }
      }
    }
    return beyond;
  }

  /** Whether a module has a low-rank pair. */
  public boolean adapts(String module) {
    return find(module, Role.A).isPresent() || find(module, Role.EMBEDDING_A).isPresent();
  }

  /** A start vector and the modules that had to be made up. */
  public record Start(float[] values, List<String> fresh) {}

  /**
   * The vector before the first step: pairs as {@link #drawPairs} has them; whole layers from the
   * base, or N(0, 0.02²) with zero bias where the base has none; magnitudes the lengths of the
   * base's rows.
   *
   * @param base what a trainable is in the base, if there is such a thing
   */
  public Start start(long seed, Drawn drawn, Function<Parameter, Optional<float[]>> base) {
    float[] vector = unlearned();
    List<String> fresh = new ArrayList<>();
    drawPairs(seed, drawn, vector);
    for (Parameter p : parameters) {
      if (p.role().whole() && p.role().learned()) {
        float[] values = base.apply(p).orElse(null);
        if (values == null && p.role() == Role.WEIGHT) {
          fresh.add(p.module());
          values = Seeds.normal(draw(seed, p), p.elements(), HEAD_DEVIATION);
        }
        put(values == null ? new float[p.elements()] : values, p, vector);
      }
    }
    return new Start(vector, fresh);
  }

  /**
   * Begins all pairs so that the adapted model is the base: those of linear layers as drawn says,
   * those of embeddings as PEFT has them, A zero and B ~ N(0, 1).
   */
  public void drawPairs(long seed, Drawn drawn, float[] vector) {
    for (Parameter p : parameters) {
      switch (p.role()) {
        case A -> {
          Parameter b = find(p.module(), Role.B).orElseThrow();
          Pair pair = drawn.pair(draw(seed, p), (int) b.shape()[0], (int) p.shape()[1], p.rank());
          put(pair.a(), p, vector);
          put(pair.b(), b, vector);
        }
        case EMBEDDING_A -> put(new float[p.elements()], p, vector);
        case EMBEDDING_B -> put(Seeds.normal(draw(seed, p), p.elements(), 1), p, vector);
        case B -> {} // with its A
        case WEIGHT, BIAS, MAGNITUDE, SELECTION -> {} // not of a pair
      }
    }
  }

  /** A vector of zeros, but for what is not learned, which is as at the start. */
  public float[] unlearned() {
    float[] vector = new float[elements];
    for (Parameter p : parameters) {
      if (p.role() == Role.SELECTION) {
        put(Selection.start(p.elements()), p, vector);
      }
    }
    return vector;
  }

  private static long draw(long seed, Parameter p) {
    return Seeds.of(seed, "init", p.name());
  }

  private static void put(float[] values, Parameter p, float[] vector) {
    System.arraycopy(values, 0, vector, p.offset(), values.length);
  }
}
