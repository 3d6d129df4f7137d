include $(sort $(wildcard $(BR2_EXTERNAL_COLCA_PATH)/package/*/*.mk))
