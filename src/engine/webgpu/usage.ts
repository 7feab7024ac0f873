/** Flags of WebGPU as numbers: where a GPU is handed in, as with Dawn in Node, there need be no globals that name them. */
export const USAGE = {
  MAP_READ: 0x0001,
  COPY_SRC: 0x0004,
  COPY_DST: 0x0008,
  UNIFORM: 0x0040,
  STORAGE: 0x0080,
  INDIRECT: 0x0100,
  QUERY_RESOLVE: 0x0200,
} as const;

export const MAP_MODE_READ = 0x0001;
export const STAGE_COMPUTE = 0x4;
