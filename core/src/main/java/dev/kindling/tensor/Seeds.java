package dev.kindling.tensor;

import java.nio.charset.StandardCharsets;
import java.util.Random;

/**
 * Where all randomness comes from: every draw is a function of the run's seed and of what it is
 * for, never of a clock, a thread or the draws before it.
 */
public final class Seeds {
  private Seeds() {}

  /** A seed for one purpose, for example {@code (42, "init", "…query.lora_A")}. */
  public static long of(long seed, String purpose, String name) {
    return mix(mix(seed, hash(purpose)), hash(name));
  }

  /** A seed for one purpose and number, for example {@code (42, "epoch", 3)}. */
  public static long of(long seed, String purpose, long number) {
    return mix(mix(seed, hash(purpose)), number);
  }

  /** Combines two numbers into one that looks random; order matters. */
  public static long mix(long a, long b) {
    return finish(finish(a + 0x9e3779b97f4a7c15L) + 0xdaa66d2c7ddf743fL + b);
  }

  /** count draws from U(−bound, bound). */
  public static float[] uniform(long seed, int count, double bound) {
    Random random = new Random(seed);
    float[] draws = new float[count];
    for (int i = 0; i < count; i++) {
      draws[i] = (float) ((2 * random.nextDouble() - 1) * bound);
    }
    return draws;
  }

  /** count draws from N(0, deviation²). */
  public static float[] normal(long seed, int count, double deviation) {
    Random random = new Random(seed);
    float[] draws = new float[count];
    for (int i = 0; i < count; i++) {
      draws[i] = (float) (random.nextGaussian() * deviation);
    }
    return draws;
  }

  /** The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection with full avalanche. */
  private static long finish(long z) {
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /** FNV-1a over the name's UTF-8 bytes. */
  private static long hash(String name) {
    long h = 0xcbf29ce484222325L;
    for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
      h = (h ^ (b & 0xff)) * 0x100000001b3L;
    }
    return h;
  }
}
